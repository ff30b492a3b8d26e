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
			Summary: "List the destinations, newest first", Message: "Destinations.",
		}, h.list),
		api.Define(api.Spec{
			Name: "send.getDestination", Method: "GET", Path: "/send/destinations/{destinationId}",
			Summary: "Show a destination", Message: "Destination.", Errors: []api.Code{api.CodeNotFound},
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

type createDestinationParams struct {
	DestinationAddress   string            `json:"destinationAddress" doc:"Host name or IP of the receiver, or either with its receive port as host:port or [IPv6]:port" validate:"required,max=300"`
	DestinationPort      *int              `json:"destinationPort" doc:"Receive port of the receiver, where destinationAddress names none" default:"8887" validate:"omitempty,min=1,max=65535"`
	DestinationPublicKey *string           `json:"destinationPublicKey" doc:"The receiver's publicKey, base64url; without it the key first seen is kept" validate:"omitempty,max=64"`
	SendRateMax          *int64            `json:"sendRateMax" doc:"Highest send rate in kbit/s; 0 is no limit. It is kept, and has no effect yet" default:"0" validate:"omitempty,min=0,max=1000000000000"`
	UserData             map[string]string `json:"userData" doc:"Data of your own, kept with the destination" validate:"max=64"`
}

func (h destinationHandlers) create(ctx context.Context, p createDestinationParams) (api.Result[transfer.Destination], error) {
	var none api.Result[transfer.Destination]
	caller, _ := api.CallerOf(ctx)
	owner, err := caller.Owner()
	if err != nil {
		return none, err
	}
	d, existing, err := h.engine.CreateDestination(ctx, transfer.NewDestination{
		Owner: owner, Address: p.DestinationAddress, Port: p.DestinationPort, PublicKey: p.DestinationPublicKey,
		SendRateMax: p.SendRateMax, UserData: p.UserData, RequestID: caller.RequestID, Depth: caller.Depth,
	})
	if err != nil {
		return none, err
	}
	r := api.Result[transfer.Destination]{Value: d, Existing: existing}
	if existing {
		r.Message = "Destination exists."
	}
	return r, nil
}

type getDestinationsParams struct {
	api.ListParams
	ownerParam
}

type destinationList struct {
	Destinations []transfer.Destination `json:"destinations" doc:"The destinations, newest first"`
	NextCursor   *string                `json:"nextCursor" doc:"Cursor of the next page; null on the last"`
}

func (h destinationHandlers) list(ctx context.Context, p getDestinationsParams) (destinationList, error) {
	page, err := pageOf(ctx, p.ListParams, p.Owner, "")
	if err != nil {
		return destinationList{}, err
	}
	found, more, err := h.engine.Destinations(ctx, page)
	list := destinationList{Destinations: listed(found)}
	if more {
		list.NextCursor = cursor(found[len(found)-1].Seq)
	}
	return list, err
}

type getDestinationParams struct {
	DestinationID string `json:"destinationId" doc:"Id of the destination" validate:"required,max=64"`
}

func (h destinationHandlers) get(ctx context.Context, p getDestinationParams) (transfer.Destination, error) {
	d, err := h.engine.Destination(ctx, p.DestinationID)
	if err == nil {
		err = mayAct(ctx, d.Owner, "destination", p.DestinationID)
	}
	if err != nil {
		return transfer.Destination{}, err
	}
	return d, nil
}

type updateDestinationParams struct {
	getDestinationParams
	DestinationPublicKey *string           `json:"destinationPublicKey" doc:"The receiver's publicKey, base64url; empty: forget the key, and keep the one seen next" validate:"omitempty,max=64"`
	SendRateMax          *int64            `json:"sendRateMax" doc:"Highest send rate in kbit/s; 0 is no limit. It is kept, and has no effect yet" validate:"omitempty,min=0,max=1000000000000"`
	UserData             map[string]string `json:"userData" doc:"Data of your own, in place of what was kept; {} removes it" validate:"max=64"`
}

func (h destinationHandlers) update(ctx context.Context, p updateDestinationParams) (transfer.Destination, error) {
	if _, err := h.get(ctx, p.getDestinationParams); err != nil {
		return transfer.Destination{}, err
	}
	caller, _ := api.CallerOf(ctx)
	return h.engine.UpdateDestination(ctx, p.DestinationID, transfer.DestinationChange{
		PublicKey: p.DestinationPublicKey, SendRateMax: p.SendRateMax, UserData: p.UserData,
	}, caller.RequestID)
}

type deleteDestinationParams struct {
	getDestinationParams
	Force bool `json:"force" doc:"Whether to cancel transfers to it that have not ended" default:"false"`
}

func (h destinationHandlers) delete(ctx context.Context, p deleteDestinationParams) (api.Empty, error) {
	if _, err := h.get(ctx, p.getDestinationParams); err != nil {
		return api.Empty{}, err
	}
	caller, _ := api.CallerOf(ctx)
	return api.Empty{}, h.engine.DeleteDestination(ctx, p.DestinationID, p.Force, caller.RequestID, caller.Depth)
}
