package handlers

import (
	"context"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/sender"
)

type transferHandlers struct {
	engine *transfer.Engine
	sender *sender.Sender
}

func transferCommands(d Deps) []*api.Command {
	h := transferHandlers{d.Engine, d.Sender}
	notFound := []api.Code{api.CodeNotFound}
	return []*api.Command{
		api.Define(api.Spec{
			Name: "send.createTransfer", Method: "POST", Path: "/send/transfers", Status: 201,
			Location: "/send/transfers/{transferId}",
			Summary:  "Send a manifest to a destination",
			Description: "Answers at once; the login at the receiver and the sending happen in the background. A manifest " +
				"that is not complete is a `conflict`. The transfer belongs to the owner of the manifest.\n\n" +
				"With `dryRun` it answers with status 200 when the receiver has said, in `plan`, what would be sent, and makes nothing. " +
				"A receiver that would not take the transfer at all is a `conflict`, one that does not answer is `unavailable`.",
			Message: "Transfer requested.",
			Errors:  []api.Code{api.CodeNotFound, api.CodeConflict, api.CodeTooManyRequests, api.CodeUnavailable, api.CodeTimeout},
			Example: map[string]any{"destinationId": api.ExampleID, "username": "bob", "destinationPath": "/incoming", "conflict": "rename"},
		}, h.create),
		api.Define(api.Spec{
			Name: "send.getTransfers", Method: "GET", Path: "/send/transfers",
			Summary:     "List the sent transfers, newest first",
			Description: "The caller's own; superusers see those of all users, or of the one that `owner` names.", Message: "Transfers.",
			Example: map[string]any{"limit": 10, "status": "active"},
		}, h.list),
		api.Define(api.Spec{
			Name: "send.getTransfer", Method: "GET", Path: "/send/transfers/{transferId}",
			Summary:     "Show a sent transfer",
			Description: "With live numbers while it is under way; `errorMessage` also says why one is still pending.", Message: "Transfer.", Errors: notFound,
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
			Description: "The receiver is notified in the background. A transfer that has ended is a `conflict`.",
			Message:     "Transfer cancelled.", Errors: []api.Code{api.CodeNotFound, api.CodeConflict},
		}, h.cancel),
		api.Define(api.Spec{
			Name: "send.suspendTransfer", Method: "POST", Path: "/send/transfers/{transferId}/suspend",
			Summary:     "Suspend a sent transfer",
			Description: "Nothing more is sent until `resumeTransfer`; what has arrived stays at the receiver, which keeps it for the time of its `--recv-abandoned-after`. A transfer that has ended is a `conflict`.",
			Message:     "Transfer suspended.", Errors: []api.Code{api.CodeNotFound, api.CodeConflict},
		}, h.suspend),
		api.Define(api.Spec{
			Name: "send.resumeTransfer", Method: "POST", Path: "/send/transfers/{transferId}/resume",
			Summary:     "Go on with a suspended transfer",
			Description: "It goes on with what is missing. One that is not suspended stays as it is; one that has ended is a `conflict`.",
			Message:     "Transfer resumed.", Errors: []api.Code{api.CodeNotFound, api.CodeConflict},
		}, h.resume),
		api.Define(api.Spec{
			Name: "send.failTransfer", Method: "POST", Path: "/send/transfers/{transferId}/fail",
			Summary:     "End a sent transfer as failed",
			Description: "Like `cancelTransfer`, but with status `error` and a reason, which `send.transferFailed` gets at both ends.",
			Message:     "Transfer failed.", Errors: []api.Code{api.CodeNotFound, api.CodeConflict},
			Example: map[string]any{"message": "the reel was withdrawn"},
		}, h.fail),
		api.Define(api.Spec{
			Name: "send.updateTransfer", Method: "PATCH", Path: "/send/transfers/{transferId}",
			Summary:     "Change a sent transfer",
			Description: "Another priority counts at once: to one destination, transfers of a higher number wait for those of a lower one.",
			Message:     "Transfer updated.", Errors: []api.Code{api.CodeNotFound, api.CodeConflict},
			Example: map[string]any{"priority": 10},
		}, h.update),
		api.Define(api.Spec{
			Name: "send.deleteTransfer", Method: "DELETE", Path: "/send/transfers/{transferId}",
			Summary: "Remove a sent transfer from the list",
			Description: "What has arrived stays where it is. One that has not ended is a `conflict`, unless `force`, which " +
				"cancels it; its receiver is notified in the background.",
			Message: "Transfer deleted.", Errors: []api.Code{api.CodeNotFound, api.CodeConflict},
			Example: map[string]any{"force": true},
		}, h.delete),
	}
}

type createTransferParams struct {
	transfer.Params
	transfer.DryRunParams
	Password string `json:"password" doc:"Password of username at the receiver, or an API token of theirs there that may write; 1 to 1024 bytes" validate:"required,max=1024" secret:"true"`
}

func (h transferHandlers) create(ctx context.Context, p createTransferParams) (api.Result[transfer.CreatedTransfer], error) {
	caller, _ := api.CallerOf(ctx)
	if p.DryRun {
		return h.dryRun(ctx, caller, p)
	}
	if err := p.Check(p.DestinationID); err != nil {
		return api.Result[transfer.CreatedTransfer]{}, err
	}
	t, err := h.engine.CreateTransfer(ctx, caller, p.Params, p.Password)
	return api.Result[transfer.CreatedTransfer]{Value: transfer.CreatedTransfer{Transfer: t}}, err
}

func (h transferHandlers) dryRun(ctx context.Context, caller api.Caller, p createTransferParams) (r api.Result[transfer.CreatedTransfer], err error) {
	t, err := h.engine.DryRun(ctx, caller, p.Params, p.DryRunParams, p.Password)
	if err != nil {
		return r, err
	}
	plan, err := h.sender.DryRun(ctx, t, p.Password, time.Duration(p.TimeoutSeconds)*time.Second)
	return api.Result[transfer.CreatedTransfer]{
		Value: transfer.CreatedTransfer{Transfer: t, Plan: &plan}, Existing: true, Message: "Dry run: nothing was made or sent.",
	}, err
}

type getTransfersParams struct {
	api.ListParams
	ownerParam
	idParam
	Status transfer.Status `json:"status" doc:"Only those in this state" validate:"omitempty,oneof=pending active suspended cancelled complete error"`
}

type transferList struct {
	Transfers []transfer.Transfer `json:"transfers" doc:"The transfers, newest first"`
	nextPage
}

func (h transferHandlers) list(ctx context.Context, p getTransfersParams) (transferList, error) {
	page, err := pageOf(ctx, p.ListParams, p.Owner, p.Status)
	if err != nil {
		return transferList{}, err
	}
	page.IDPart = p.TransferID
	found, next, err := h.engine.Transfers(ctx, page)
	return transferList{listed(found), pageAt(next)}, err
}

type getTransferParams struct {
	TransferID string `json:"transferId" doc:"Id of the transfer" validate:"required,max=64"`
}

func (h transferHandlers) get(ctx context.Context, p getTransferParams) (transfer.Transfer, error) {
	caller, _ := api.CallerOf(ctx)
	return h.engine.Transfer(ctx, caller, p.TransferID)
}

type waitForTransferParams struct {
	getTransferParams
	api.WaitParams
}

func (h transferHandlers) wait(ctx context.Context, p waitForTransferParams) (transfer.Transfer, error) {
	caller, _ := api.CallerOf(ctx)
	return h.engine.WaitForTransfer(ctx, caller, p.TransferID, time.Duration(p.TimeoutSeconds)*time.Second)
}

func (h transferHandlers) cancel(ctx context.Context, p getTransferParams) (transfer.Transfer, error) {
	caller, _ := api.CallerOf(ctx)
	return h.engine.CancelTransfer(ctx, caller, p.TransferID)
}

func (h transferHandlers) suspend(ctx context.Context, p getTransferParams) (transfer.Transfer, error) {
	caller, _ := api.CallerOf(ctx)
	return h.engine.SuspendTransfer(ctx, caller, p.TransferID)
}

func (h transferHandlers) resume(ctx context.Context, p getTransferParams) (transfer.Transfer, error) {
	caller, _ := api.CallerOf(ctx)
	return h.engine.ResumeTransfer(ctx, caller, p.TransferID)
}

type failTransferParams struct {
	getTransferParams
	Message string `json:"message" doc:"Why it failed, for people, at most 1000 bytes" validate:"required,max=1000"`
}

func (h transferHandlers) fail(ctx context.Context, p failTransferParams) (transfer.Transfer, error) {
	caller, _ := api.CallerOf(ctx)
	return h.engine.FailTransfer(ctx, caller, p.TransferID, p.Message)
}

type updateTransferParams struct {
	getTransferParams
	transfer.TransferChange
}

func (h transferHandlers) update(ctx context.Context, p updateTransferParams) (transfer.Transfer, error) {
	caller, _ := api.CallerOf(ctx)
	return h.engine.UpdateTransfer(ctx, caller, p.TransferID, p.TransferChange)
}

type deleteTransferParams struct {
	getTransferParams
	Force bool `json:"force" doc:"Whether to cancel it if it has not ended" default:"false"`
}

func (h transferHandlers) delete(ctx context.Context, p deleteTransferParams) (api.Empty, error) {
	caller, _ := api.CallerOf(ctx)
	return api.Empty{}, h.engine.DeleteTransfer(ctx, caller, p.TransferID, p.Force)
}
