package handlers

import (
	"context"
	"strings"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/receiver"
)

type receivedHandlers struct{ receiver *receiver.Receiver }

func receivedCommands(d Deps) []*api.Command {
	h := receivedHandlers{d.Receiver}
	notFound := []api.Code{api.CodeNotFound}
	return []*api.Command{
		api.Define(api.Spec{
			Name: "recv.getTransfers", Method: "GET", Path: "/recv/transfers",
			Summary:     "List the received transfers, newest first",
			Description: "Those that the caller authorized; a superuser sees everybody's.",
			Message:     "Received transfers.",
			Example:     map[string]any{"limit": 10, "status": "complete"},
		}, h.list),
		api.Define(api.Spec{
			Name: "recv.getTransfer", Method: "GET", Path: "/recv/transfers/{transferId}",
			Summary: "Show a received transfer",
			Description: "Ids are unique for each sending server; should two servers have used the same one, " +
				"the newest transfer is shown.",
			Message: "Received transfer.", Errors: notFound,
		}, h.get),
		api.Define(api.Spec{
			Name: "recv.getTransferFiles", Method: "GET", Path: "/recv/transfers/{transferId}/files",
			Summary:     "List the files of a received transfer, in the manifest's order",
			Description: "Only what is verified and on disk; `path` is empty until a file has its final name. What a mirror has removed comes last.",
			Message:     "Received files.", Errors: notFound,
		}, h.files),
		api.Define(api.Spec{
			Name: "recv.cancelTransfer", Method: "POST", Path: "/recv/transfers/{transferId}/cancel",
			Summary: "Cancel a transfer at its receiver",
			Description: "For the user who authorized it and superusers. What has arrived is removed, and its sender cannot go on: " +
				"the transfer ends there as `cancelled` too, at once or when the sender comes back. One that has ended is a " +
				"`conflict`, and so is one whose files have all arrived and are getting their names.",
			Message: "Transfer cancelled.", Errors: []api.Code{api.CodeNotFound, api.CodeConflict},
		}, h.cancel),
	}
}

type getReceivedListParams struct {
	api.ListParams
	idParam
	Username string          `json:"username" doc:"Only the transfers that this user authorized; others than oneself are for superusers" validate:"max=64"`
	Status   transfer.Status `json:"status" doc:"Only those in this state" validate:"omitempty,oneof=receiving complete error cancelled"`
}

type receivedList struct {
	Transfers []transfer.RecvTransfer `json:"transfers" doc:"The transfers, newest first"`
	nextPage
}

func (h receivedHandlers) list(ctx context.Context, p getReceivedListParams) (receivedList, error) {
	caller, _ := api.CallerOf(ctx)
	if !caller.Superuser && p.Username != "" && !strings.EqualFold(p.Username, caller.User) {
		return receivedList{}, api.Errorf(api.CodeForbidden, "only a superuser may list what others received: leave username out")
	}
	page, err := pageOf(ctx, p.ListParams, p.Username, p.Status)
	if err != nil {
		return receivedList{}, err
	}
	page.IDPart = p.TransferID
	found, next, err := h.receiver.Transfers(ctx, page)
	return receivedList{listed(found), pageAt(next)}, err
}

type getReceivedParams struct {
	TransferID string `json:"transferId" doc:"Id of the transfer, the same as at its sender" validate:"required,max=64"`
}

func (h receivedHandlers) get(ctx context.Context, p getReceivedParams) (transfer.RecvTransfer, error) {
	caller, _ := api.CallerOf(ctx)
	return h.receiver.Transfer(ctx, caller, p.TransferID)
}

func (h receivedHandlers) cancel(ctx context.Context, p getReceivedParams) (transfer.RecvTransfer, error) {
	caller, _ := api.CallerOf(ctx)
	return h.receiver.Cancel(ctx, caller, p.TransferID)
}

type getReceivedFilesParams struct {
	getReceivedParams
	api.ListParams
}

type receivedFile struct {
	Name         string `json:"name" doc:"Name in the sender's manifest, below destinationPath"`
	NameBase64   string `json:"nameBase64,omitempty" doc:"The exact name in base64, where it is not UTF-8"`
	Path         string `json:"path" doc:"Final path in the receiving user's sandbox; empty before it has one"`
	PathBase64   string `json:"pathBase64,omitempty" doc:"The exact path in base64, where it is not UTF-8"`
	FileSize     int64  `json:"fileSize" doc:"Bytes; 0 for a directory" unit:"bytes"`
	Digest       string `json:"digest" doc:"Digest of the data that arrived, with its algorithm before it (xxh3-128:HEX); empty where there is none"`
	IsEmptyDir   bool   `json:"isEmptyDir" doc:"Whether it is an empty directory"`
	Removed      bool   `json:"removed" doc:"Whether it is a file or link that was here and that the transfer has removed, with mirror"`
	Skipped      bool   `json:"skipped" doc:"Whether it was not placed: it existed and conflict was skip, or it failed"`
	ErrorMessage string `json:"errorMessage" doc:"Why it failed, or empty"`
}

type receivedFileList struct {
	TransferID string         `json:"transferId" doc:"Id of the transfer"`
	Files      []receivedFile `json:"files" doc:"Files and empty directories, in the order of the manifest, then what was removed"`
	nextPage
}

func (h receivedHandlers) files(ctx context.Context, p getReceivedFilesParams) (receivedFileList, error) {
	from, err := parseCursor(p.Cursor)
	if err != nil {
		return receivedFileList{}, err
	}
	caller, _ := api.CallerOf(ctx)
	found, removed, next, err := h.receiver.Files(ctx, caller, p.TransferID, from, p.Limit)
	list := receivedFileList{p.TransferID, make([]receivedFile, 0, len(found)+len(removed)), pageAt(next)}
	for _, f := range found {
		file := receivedFile{
			Name: f.Name, NameBase64: api.Base64Unless(f.Name), FileSize: f.Size, Digest: f.Digest, IsEmptyDir: f.Dir,
			Skipped: f.Skipped, ErrorMessage: f.Error,
		}
		if f.Placed {
			file.Path, file.PathBase64 = f.Final, api.Base64Unless(f.Final)
		}
		list.Files = append(list.Files, file)
	}
	for _, r := range removed {
		list.Files = append(list.Files, receivedFile{
			Name: r.Name, NameBase64: api.Base64Unless(r.Name), Path: r.Final, PathBase64: api.Base64Unless(r.Final), FileSize: r.Size, Removed: true,
		})
	}
	return list, err
}
