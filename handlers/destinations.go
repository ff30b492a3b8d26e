package handlers

import (
	"context"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/sender"
)

type destinationHandlers struct {
	engine *transfer.Engine
	sender *sender.Sender
}

func destinationCommands(d Deps) []*api.Command {
	h := destinationHandlers{d.Engine, d.Sender}
	return []*api.Command{
		api.Define(api.Spec{
			Name: "send.createDestination", Method: "POST", Path: "/send/destinations", Status: 201,
			Location: "/send/destinations/{destinationId}",
			Summary:  "Add a server to send to",
			Description: "A destination is one per user, address and port: a known one is returned with status 200, " +
				"and given parameters that differ are applied to it. Only a new one fires `send.destinationCreated`.",
			Message: "Destination created.", Errors: []api.Code{api.CodeConflict},
			Example: map[string]any{"destinationAddress": "site-b", "sendRateMax": 100000},
		}, h.create),
		api.Define(api.Spec{
			Name: "send.getDestinations", Method: "GET", Path: "/send/destinations",
			Summary:     "List the destinations, newest first",
			Description: "The caller's own; superusers see those of all users, or of the one that `owner` names.", Message: "Destinations.",
		}, h.list),
		api.Define(api.Spec{
			Name: "send.getDestination", Method: "GET", Path: "/send/destinations/{destinationId}",
			Summary:     "Show a destination",
			Description: "A destination of another user is `notFound`, unless the caller is a superuser.", Message: "Destination.", Errors: []api.Code{api.CodeNotFound},
		}, h.get),
		api.Define(api.Spec{
			Name: "send.updateDestination", Method: "PATCH", Path: "/send/destinations/{destinationId}",
			Summary: "Change a destination",
			Description: "What is absent stays as it is. A receiver whose server was installed anew shows another key, and " +
				"transfers to it fail until the destination gets that key, or an empty one: then the key seen next is kept. Give " +
				"the key that the receiver's `getServerInfo` shows where you can. Transfers that have failed stay so; create them again.",
			Message: "Destination updated.", Errors: []api.Code{api.CodeNotFound},
			Example: map[string]any{"sendRateMax": 100000},
		}, h.update),
		api.Define(api.Spec{
			Name: "send.deleteDestination", Method: "DELETE", Path: "/send/destinations/{destinationId}",
			Summary:     "Remove a destination",
			Description: "With transfers that have not ended it is a `conflict`, unless `force`, which cancels them.",
			Message:     "Destination deleted.", Errors: []api.Code{api.CodeNotFound, api.CodeConflict},
			Example: map[string]any{"force": true},
		}, h.delete),
		api.Define(api.Spec{
			Name: "send.getReceiverKey", Method: "POST", Path: "/send/receiver-key",
			Summary: "Show the public key of a receiver",
			Description: "Of a destination of the caller it is the key that is pinned. Without one the receiver is asked: the server " +
				"connects to it, without a login, and keeps nothing. Compare the key with the `publicKey` of the receiver's `getServerInfo`, " +
				"and give it to `send.createDestination`: then no password goes to any other server.",
			Message: "Public key of the receiver.", Errors: []api.Code{api.CodeConflict, api.CodeTooManyRequests, api.CodeUnavailable},
			Example: map[string]any{"destinationAddress": "site-b"},
		}, h.key),
	}
}

func (h destinationHandlers) create(ctx context.Context, p transfer.DestinationParams) (api.Result[transfer.Destination], error) {
	caller, _ := api.CallerOf(ctx)
	d, existing, err := h.engine.CreateDestination(ctx, caller, p)
	return transfer.DestinationCreated(d, existing), err
}

type getDestinationsParams struct {
	api.ListParams
	ownerParam
	DestinationID string `json:"destinationId" doc:"Only the destination of this id, or those whose ids begin or end with it" validate:"omitempty,min=4,max=64"`
}

type destinationList struct {
	Destinations []transfer.Destination `json:"destinations" doc:"The destinations, newest first"`
	nextPage
}

func (h destinationHandlers) list(ctx context.Context, p getDestinationsParams) (destinationList, error) {
	page, err := pageOf(ctx, p.ListParams, p.Owner, "")
	if err != nil {
		return destinationList{}, err
	}
	page.IDPart = p.DestinationID
	found, next, err := h.engine.Destinations(ctx, page)
	return destinationList{listed(found), pageAt(next)}, err
}

type getDestinationParams struct {
	DestinationID string `json:"destinationId" doc:"Id of the destination" validate:"required,max=64"`
}

func (h destinationHandlers) get(ctx context.Context, p getDestinationParams) (transfer.Destination, error) {
	caller, _ := api.CallerOf(ctx)
	return h.engine.Destination(ctx, caller, p.DestinationID)
}

type updateDestinationParams struct {
	getDestinationParams
	transfer.DestinationChange
}

func (h destinationHandlers) update(ctx context.Context, p updateDestinationParams) (transfer.Destination, error) {
	caller, _ := api.CallerOf(ctx)
	return h.engine.UpdateDestination(ctx, caller, p.DestinationID, p.DestinationChange)
}

func (h destinationHandlers) key(ctx context.Context, p transfer.ReceiverKeyParams) (k transfer.ReceiverKey, err error) {
	caller, _ := api.CallerOf(ctx)
	d, err := h.engine.DestinationAt(ctx, caller, p)
	if err != nil {
		return k, err
	}
	k = transfer.ReceiverKey{
		DestinationID: d.DestinationID, DestinationAddress: d.DestinationAddress, DestinationPort: d.DestinationPort,
		DestinationPublicKey: d.DestinationPublicKey, Pinned: d.DestinationPublicKey != "",
	}
	if !k.Pinned {
		k.DestinationPublicKey, err = h.sender.ReceiverKey(ctx, d)
	}
	return k, err
}

type deleteDestinationParams struct {
	getDestinationParams
	Force bool `json:"force" doc:"Whether to cancel transfers to it that have not ended" default:"false"`
}

func (h destinationHandlers) delete(ctx context.Context, p deleteDestinationParams) (api.Empty, error) {
	caller, _ := api.CallerOf(ctx)
	return api.Empty{}, h.engine.DeleteDestination(ctx, caller, p.DestinationID, p.Force)
}
