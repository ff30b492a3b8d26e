package handlers

import (
	"context"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
)

type destinationHandlers struct{ engine *transfer.Engine }

func destinationCommands(d Deps) []*api.Command {
	h := destinationHandlers{d.Engine}
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

type deleteDestinationParams struct {
	getDestinationParams
	Force bool `json:"force" doc:"Whether to cancel transfers to it that have not ended" default:"false"`
}

func (h destinationHandlers) delete(ctx context.Context, p deleteDestinationParams) (api.Empty, error) {
	caller, _ := api.CallerOf(ctx)
	return api.Empty{}, h.engine.DeleteDestination(ctx, caller, p.DestinationID, p.Force)
}
