package handlers

import (
	"context"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/receiver"
)

type sourceHandlers struct{ receiver *receiver.Receiver }

func sourceCommands(d Deps) []*api.Command {
	h := sourceHandlers{d.Receiver}
	return []*api.Command{
		api.Define(api.Spec{
			Name: "recv.getSources", Method: "GET", Path: "/recv/sources",
			Summary: "List the servers that send here",
			Description: "That with the newest transfer first. Counted are the transfers that the caller authorized, as far as they " +
				"are kept; for a superuser everybody's.",
			Message: "Sources.",
		}, h.sources),
		api.Define(api.Spec{
			Name: "recv.getAuthorizedClients", Method: "GET", Path: "/recv/authorized-clients",
			Summary: "List the servers that are trusted to send here, newest first",
			Description: "Where `onlyAuthorizedClientsAllowed` is true, connections of all other servers are refused right after the " +
				"TLS handshake, before any login.",
			Message: "Authorized clients.", Access: api.AccessSuperuser,
		}, h.clients),
		api.Define(api.Spec{
			Name: "recv.addAuthorizedClient", Method: "POST", Path: "/recv/authorized-clients", Status: 201,
			Location: "/recv/authorized-clients/{publicKey}",
			Summary:  "Trust a server to send here",
			Message:  "Authorized client added.", Access: api.AccessSuperuser,
			Example: map[string]any{"publicKey": exampleKey},
		}, h.add),
		api.Define(api.Spec{
			Name: "recv.removeAuthorizedClient", Method: "DELETE", Path: "/recv/authorized-clients/{publicKey}",
			Summary:     "Trust a server no more",
			Description: "Where only authorized clients may send, its connections end at once.",
			Message:     "Authorized client removed.", Errors: []api.Code{api.CodeNotFound}, Access: api.AccessSuperuser,
			Example: map[string]any{"publicKey": exampleKey},
		}, h.remove),
		api.Define(api.Spec{
			Name: "recv.allowOnlyAuthorizedClients", Method: "PATCH", Path: "/recv/authorized-clients",
			Summary:     "Say whether only trusted servers may send here",
			Description: "It holds across restarts. Connections of servers that may not send any more end at once; what they have sent stays and can go on once they are trusted.",
			Message:     "Setting changed.", Access: api.AccessSuperuser,
			Example: map[string]any{"onlyAuthorizedClientsAllowed": true},
		}, h.only),
	}
}

type getSourcesParams struct{ api.ListParams }

type sourceList struct {
	Sources []transfer.Source `json:"sources" doc:"The sending servers"`
	nextPage
}

func (h sourceHandlers) sources(ctx context.Context, p getSourcesParams) (sourceList, error) {
	page, err := pageOf(ctx, p.ListParams, "", "")
	if err != nil {
		return sourceList{}, err
	}
	found, next, err := h.receiver.Sources(ctx, page.Owner, page.Before, page.Limit)
	return sourceList{listed(found), pageAt(next)}, err
}

type getAuthorizedClientsParams struct{ api.ListParams }

type clientList struct {
	Only    bool                        `json:"onlyAuthorizedClientsAllowed" doc:"Whether nobody else may send here"`
	Clients []transfer.AuthorizedClient `json:"authorizedClients" doc:"The trusted servers, newest first"`
	nextPage
}

func (h sourceHandlers) clients(ctx context.Context, p getAuthorizedClientsParams) (clientList, error) {
	before, err := parseCursor(p.Cursor)
	if err != nil {
		return clientList{}, err
	}
	found, only, next, err := h.receiver.AuthorizedClients(ctx, before, p.Limit)
	return clientList{only, listed(found), pageAt(next)}, err
}

type clientKeyParam struct {
	PublicKey string `json:"publicKey" doc:"Public key of the sending server, as its getServerInfo shows it" validate:"required,max=64"`
}

type addClientParams struct {
	clientKeyParam
	Description string `json:"description" doc:"Whose it is, for people" validate:"max=256"`
}

func (h sourceHandlers) add(ctx context.Context, p addClientParams) (api.Result[transfer.AuthorizedClient], error) {
	c, made, err := h.receiver.AddAuthorizedClient(ctx, p.PublicKey, p.Description)
	r := api.Result[transfer.AuthorizedClient]{Value: c, Existing: !made}
	if !made {
		r.Message = "The client was authorized already."
	}
	return r, err
}

func (h sourceHandlers) remove(ctx context.Context, p clientKeyParam) (api.Empty, error) {
	return api.Empty{}, h.receiver.RemoveAuthorizedClient(ctx, p.PublicKey)
}

type onlyClientsParams struct {
	Only *bool `json:"onlyAuthorizedClientsAllowed" doc:"Whether nobody but the authorized clients may send here" validate:"required"`
}

type onlyClients struct {
	Only bool `json:"onlyAuthorizedClientsAllowed" doc:"The setting from now on"`
}

func (h sourceHandlers) only(ctx context.Context, p onlyClientsParams) (onlyClients, error) {
	return onlyClients{*p.Only}, h.receiver.AllowOnlyAuthorizedClients(ctx, *p.Only)
}

// exampleKey is the public key in examples.
const exampleKey = "p7Lq0mB3xWc9tYd2VnRk5uEaZs8hGf1iJo4lQeXw6Cw"
