package handlers

import (
	"context"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
)

type transferHandlers struct{ engine *transfer.Engine }

func transferCommands(d Deps) []*api.Command {
	h := transferHandlers{d.Engine}
	notFound := []api.Code{api.CodeNotFound}
	return []*api.Command{
		api.Define(api.Spec{
			Name: "send.createTransfer", Method: "POST", Path: "/send/transfers", Status: 201,
			Location: "/send/transfers/{transferId}",
			Summary:  "Send a manifest to a destination",
			Description: "Answers at once; the login at the receiver and the sending happen in the background. A manifest " +
				"that is not complete is a `conflict`. The transfer belongs to the owner of the manifest.",
			Message: "Transfer requested.", Errors: []api.Code{api.CodeNotFound, api.CodeConflict},
			Example: map[string]any{"username": "bob", "destinationPath": "/incoming", "conflict": "rename"},
		}, h.create),
		api.Define(api.Spec{
			Name: "send.getTransfers", Method: "GET", Path: "/send/transfers",
			Summary: "List the sent transfers, newest first", Message: "Transfers.",
			Example: map[string]any{"limit": 10, "status": "active"},
		}, h.list),
		api.Define(api.Spec{
			Name: "send.getTransfer", Method: "GET", Path: "/send/transfers/{transferId}",
			Summary: "Show a sent transfer", Message: "Transfer.", Errors: notFound,
		}, h.get),
		api.Define(api.Spec{
			Name: "send.waitForTransfer", Method: "GET", Path: "/send/transfers/{transferId}/wait",
			Summary:     "Wait until a sent transfer has ended",
			Description: "After `timeoutSeconds` the answer comes with `processing` still true.",
			Message:     "Transfer.", Errors: notFound,
			Example: map[string]any{"timeoutSeconds": 300},
		}, h.wait),
		api.Define(api.Spec{
			Name: "send.cancelTransfer", Method: "POST", Path: "/send/transfers/{transferId}/cancel",
			Summary:     "Cancel a sent transfer",
			Description: "The receiver is told in the background. A transfer that has ended is a `conflict`.",
			Message:     "Transfer cancelled.", Errors: []api.Code{api.CodeNotFound, api.CodeConflict},
		}, h.cancel),
		api.Define(api.Spec{
			Name: "send.deleteTransfer", Method: "DELETE", Path: "/send/transfers/{transferId}",
			Summary: "Remove a sent transfer from the list",
			Description: "What has arrived stays where it is. One that has not ended is a `conflict`, unless `force`, which " +
				"cancels it; its receiver is told in the background.",
			Message: "Transfer deleted.", Errors: []api.Code{api.CodeNotFound, api.CodeConflict},
			Example: map[string]any{"force": true},
		}, h.delete),
	}
}

type createTransferParams struct {
	ManifestID                 string            `json:"manifestId" doc:"What to send: a manifest that is complete" validate:"required,max=64"`
	DestinationID              string            `json:"destinationId" doc:"Where to send it" validate:"required,max=64"`
	Username                   string            `json:"username" doc:"The receiver's user that authorizes the transfer" validate:"required,max=64"`
	Password                   string            `json:"password" doc:"That user's password at the receiver, 1 to 1024 bytes" validate:"required,max=1024" secret:"true"`
	DestinationPath            string            `json:"destinationPath" doc:"Directory in the receiving user's sandbox that the files are placed below" default:"/" validate:"max=4096"`
	Priority                   int               `json:"priority" doc:"Lower goes first" default:"100" validate:"min=0,max=1000000"`
	CheckpointFrequencySeconds int               `json:"checkpointFrequencySeconds" doc:"Seconds between durable checkpoints; 0 is none" default:"5" validate:"min=0,max=86400"`
	Conflict                   string            `json:"conflict" doc:"What happens when a file exists" default:"overwrite" validate:"oneof=overwrite skip rename fail"`
	OnError                    string            `json:"onError" doc:"What happens when one file fails" default:"stop" validate:"oneof=stop continue"`
	UserData                   map[string]string `json:"userData" doc:"Data of your own, kept with the transfer" validate:"max=64"`
}

func (h transferHandlers) create(ctx context.Context, p createTransferParams) (transfer.Transfer, error) {
	m, err := h.engine.Manifest(ctx, p.ManifestID)
	if err == nil {
		err = mayAct(ctx, m.Owner, "manifest", p.ManifestID)
	}
	if err != nil {
		return transfer.Transfer{}, err
	}
	d, err := h.engine.Destination(ctx, p.DestinationID)
	if err == nil {
		err = mayAct(ctx, d.Owner, "destination", p.DestinationID)
	}
	if err != nil {
		return transfer.Transfer{}, err
	}
	caller, _ := api.CallerOf(ctx)
	if caller.Scope != nil && !caller.Scope.Covers(m.Confined) {
		return transfer.Transfer{}, api.Errorf(api.CodeForbidden,
			"this token is confined to %q and manifest %s is not; make the manifest with this token", caller.ConfinedTo(), m.ManifestID)
	}
	return h.engine.CreateTransfer(ctx, transfer.NewTransfer{
		ManifestID: p.ManifestID, DestinationID: p.DestinationID, Username: p.Username, Password: p.Password,
		DestinationPath: p.DestinationPath, Priority: p.Priority, CheckpointFrequencySeconds: p.CheckpointFrequencySeconds,
		Conflict: p.Conflict, OnError: p.OnError, UserData: p.UserData,
		RequestID: caller.RequestID, Depth: caller.Depth,
	})
}

type getTransfersParams struct {
	api.ListParams
	ownerParam
	Status transfer.Status `json:"status" doc:"Only those in this state" validate:"omitempty,oneof=pending active suspended cancelled complete error"`
}

type transferList struct {
	Transfers  []transfer.Transfer `json:"transfers" doc:"The transfers, newest first"`
	NextCursor *string             `json:"nextCursor" doc:"Cursor of the next page; null on the last"`
}

func (h transferHandlers) list(ctx context.Context, p getTransfersParams) (transferList, error) {
	page, err := pageOf(ctx, p.ListParams, p.Owner, p.Status)
	if err != nil {
		return transferList{}, err
	}
	found, more, err := h.engine.Transfers(ctx, page)
	list := transferList{Transfers: listed(found)}
	if more {
		list.NextCursor = cursor(found[len(found)-1].Seq)
	}
	return list, err
}

type getTransferParams struct {
	TransferID string `json:"transferId" doc:"Id of the transfer" validate:"required,max=64"`
}

func (h transferHandlers) get(ctx context.Context, p getTransferParams) (transfer.Transfer, error) {
	t, err := h.engine.Transfer(ctx, p.TransferID)
	if err == nil {
		err = mayAct(ctx, t.Owner, "transfer", p.TransferID)
	}
	if err != nil {
		return transfer.Transfer{}, err
	}
	return t, nil
}

type waitForTransferParams struct {
	getTransferParams
	api.WaitParams
}

func (h transferHandlers) wait(ctx context.Context, p waitForTransferParams) (transfer.Transfer, error) {
	if _, err := h.get(ctx, p.getTransferParams); err != nil {
		return transfer.Transfer{}, err
	}
	return h.engine.WaitForTransfer(ctx, p.TransferID, time.Duration(p.TimeoutSeconds)*time.Second)
}

func (h transferHandlers) cancel(ctx context.Context, p getTransferParams) (transfer.Transfer, error) {
	if _, err := h.get(ctx, p); err != nil {
		return transfer.Transfer{}, err
	}
	return h.engine.CancelTransfer(ctx, p.TransferID)
}

type deleteTransferParams struct {
	getTransferParams
	Force bool `json:"force" doc:"Whether to cancel it if it has not ended" default:"false"`
}

func (h transferHandlers) delete(ctx context.Context, p deleteTransferParams) (api.Empty, error) {
	if _, err := h.get(ctx, p.getTransferParams); err != nil {
		return api.Empty{}, err
	}
	return api.Empty{}, h.engine.DeleteTransfer(ctx, p.TransferID, p.Force)
}
