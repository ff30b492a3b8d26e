package handlers

import (
	"context"

	"jetstream/internal/api"
	"jetstream/internal/transfer/sender"
)

type connectionHandlers struct{ sender *sender.Sender }

func connectionCommands(d Deps) []*api.Command {
	h := connectionHandlers{d.Sender}
	return []*api.Command{
		api.Define(api.Spec{
			Name: "send.getConnections", Method: "GET", Path: "/send/connections",
			Summary:     "List what transfers are being sent over, newest first",
			Description: "There is one for each transfer that is being sent, or whose receiver is being dialled. A transfer that waits for its next attempt has none.",
			Message:     "Connections.",
		}, h.list),
		api.Define(api.Spec{
			Name: "send.getConnection", Method: "GET", Path: "/send/connections/{connectionId}",
			Summary:     "Show one connection",
			Description: "It is there while its transfer is being sent, or its receiver dialled; the next attempt of the transfer has another id.",
			Message:     "Connection.", Errors: []api.Code{api.CodeNotFound},
		}, h.get),
	}
}

type getConnectionsParams struct{ api.ListParams }

type connectionList struct {
	Connections []sender.Connection `json:"connections" doc:"The connections"`
	nextPage
}

func (h connectionHandlers) list(ctx context.Context, p getConnectionsParams) (connectionList, error) {
	page, err := pageOf(ctx, p.ListParams, "", "")
	if err != nil {
		return connectionList{}, err
	}
	found, next := h.sender.Connections(page)
	return connectionList{listed(found), pageAt(next)}, nil
}

type connectionParam struct {
	ConnectionID string `json:"connectionId" doc:"Id of the connection" validate:"required,max=64"`
}

func (h connectionHandlers) get(ctx context.Context, p connectionParam) (sender.Connection, error) {
	caller, _ := api.CallerOf(ctx)
	return h.sender.Connection(ctx, caller, p.ConnectionID)
}
