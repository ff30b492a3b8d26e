package handlers

import (
	"context"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
)

type manifestHandlers struct{ engine *transfer.Engine }

func manifestCommands(d Deps) []*api.Command {
	h := manifestHandlers{d.Engine}
	notFound := []api.Code{api.CodeNotFound}
	return []*api.Command{
		api.Define(api.Spec{
			Name: "send.createManifest", Method: "POST", Path: "/send/manifests", Status: 201,
			Location: "/send/manifests/{manifestId}",
			Summary:  "Start building a manifest",
			Description: "Answers at once; the sources are walked in the background. The value of a mapping is the name " +
				"that its source gets: `/src:/dst` puts `/src/a` at `/dst/a`. Links are followed within the sandbox. " +
				"The server's own state is left out. A source that is missing, cannot be read or is outside the sandbox, " +
				"and two sources of one name, end the manifest with status `error`. " +
				"`include` and `exclude` are compared with the names at the receiver; what they leave out is not looked at.",
			Message: "Manifest requested.",
			Example: map[string]any{"fileMappings": map[string]any{"/reel": "/reel"}, "exclude": []any{"*.tmp", "/reel/cut/"}},
		}, h.create),
		api.Define(api.Spec{
			Name: "send.getManifests", Method: "GET", Path: "/send/manifests",
			Summary:     "List the manifests, newest first",
			Description: "A page may hold fewer than `limit` where `fileMappings` are large.",
			Message:     "Manifests.",
			Example:     map[string]any{"limit": 10, "status": "complete"},
		}, h.list),
		api.Define(api.Spec{
			Name: "send.getManifest", Method: "GET", Path: "/send/manifests/{manifestId}",
			Summary:     "Show a manifest",
			Description: "Its files are in send.getManifestFiles. A manifest of another user is `notFound`, unless the caller is a superuser.", Message: "Manifest.", Errors: notFound,
		}, h.get),
		api.Define(api.Spec{
			Name: "send.waitForManifest", Method: "GET", Path: "/send/manifests/{manifestId}/wait",
			Summary:     "Wait until a manifest is complete or has failed",
			Description: "After `timeoutSeconds` the answer comes with `processing` still true.",
			Message:     "Manifest.", Errors: notFound,
			Example: map[string]any{"timeoutSeconds": 300},
		}, h.wait),
		api.Define(api.Spec{
			Name: "send.getManifestFiles", Method: "GET", Path: "/send/manifests/{manifestId}/files",
			Summary:     "List the files of a manifest, in its order",
			Description: "Of a manifest that is pending, the files found so far.",
			Message:     "Manifest files.", Errors: notFound,
		}, h.files),
		api.Define(api.Spec{
			Name: "send.deleteManifest", Method: "DELETE", Path: "/send/manifests/{manifestId}",
			Summary:     "Remove a manifest, and end its walk",
			Description: "In use by transfers that have not ended it is a `conflict`, unless `force`, which cancels them.",
			Message:     "Manifest deleted.", Errors: []api.Code{api.CodeNotFound, api.CodeConflict},
		}, h.delete),
	}
}

func (h manifestHandlers) create(ctx context.Context, p transfer.ManifestParams) (transfer.Manifest, error) {
	caller, _ := api.CallerOf(ctx)
	return h.engine.CreateManifest(ctx, caller, p)
}

type getManifestsParams struct {
	api.ListParams
	ownerParam
	ManifestID string          `json:"manifestId" doc:"Only the manifest of this id, or those whose ids begin or end with it" validate:"omitempty,min=4,max=64"`
	Status     transfer.Status `json:"status" doc:"Only those in this state" validate:"omitempty,oneof=pending complete error"`
}

type manifestList struct {
	Manifests []transfer.Manifest `json:"manifests" doc:"The manifests, newest first"`
	nextPage
}

func (h manifestHandlers) list(ctx context.Context, p getManifestsParams) (manifestList, error) {
	page, err := pageOf(ctx, p.ListParams, p.Owner, p.Status)
	if err != nil {
		return manifestList{}, err
	}
	page.IDPart = p.ManifestID
	found, next, err := h.engine.Manifests(ctx, page)
	return manifestList{listed(found), pageAt(next)}, err
}

type getManifestParams struct {
	ManifestID string `json:"manifestId" doc:"Id of the manifest" validate:"required,max=64"`
}

func (h manifestHandlers) get(ctx context.Context, p getManifestParams) (transfer.Manifest, error) {
	caller, _ := api.CallerOf(ctx)
	return h.engine.Manifest(ctx, caller, p.ManifestID)
}

type waitForManifestParams struct {
	getManifestParams
	api.WaitParams
}

func (h manifestHandlers) wait(ctx context.Context, p waitForManifestParams) (transfer.Manifest, error) {
	caller, _ := api.CallerOf(ctx)
	return h.engine.WaitForManifest(ctx, caller, p.ManifestID, time.Duration(p.TimeoutSeconds)*time.Second)
}

type getManifestFilesParams struct {
	getManifestParams
	api.ListParams
	Skipped bool `json:"skipped" doc:"Whether to list what is left out instead, with the reason" default:"false"`
}

type manifestFile struct {
	SrcPath        string `json:"srcPath" doc:"Path in the owner's sandbox"`
	SrcPathBase64  string `json:"srcPathBase64,omitempty" doc:"The exact srcPath in base64, where it is not UTF-8"`
	DestPath       string `json:"destPath" doc:"Name at the receiver, below destinationPath; empty for a skipped entry"`
	DestPathBase64 string `json:"destPathBase64,omitempty" doc:"The exact destPath in base64, where it is not UTF-8"`
	FileSize       int64  `json:"fileSize" doc:"Bytes; 0 for a directory" unit:"bytes"`
	IsEmptyDir     bool   `json:"isEmptyDir" doc:"Whether it is an empty directory"`
	Reason         string `json:"reason,omitempty" doc:"What a skipped entry is; absent for what is sent"`
}

type manifestFileList struct {
	ManifestID string         `json:"manifestId" doc:"Id of the manifest"`
	Files      []manifestFile `json:"files" doc:"Files and empty directories, in the order of the manifest"`
	nextPage
}

func (h manifestHandlers) files(ctx context.Context, p getManifestFilesParams) (manifestFileList, error) {
	from, err := parseCursor(p.Cursor)
	if err != nil {
		return manifestFileList{}, err
	}
	caller, _ := api.CallerOf(ctx)
	if p.Skipped {
		found, next, err := h.engine.SkippedFiles(ctx, caller, p.ManifestID, from, p.Limit)
		list := manifestFileList{p.ManifestID, make([]manifestFile, 0, len(found)), pageAt(next)}
		for _, f := range found {
			list.Files = append(list.Files, manifestFile{SrcPath: f.Source, SrcPathBase64: api.Base64Unless(f.Source), Reason: f.Reason})
		}
		return list, err
	}
	found, next, err := h.engine.ManifestFiles(ctx, caller, p.ManifestID, from, p.Limit)
	list := manifestFileList{p.ManifestID, make([]manifestFile, 0, len(found)), pageAt(next)}
	for _, f := range found {
		list.Files = append(list.Files, manifestFile{
			SrcPath: f.Source, SrcPathBase64: api.Base64Unless(f.Source),
			DestPath: f.Name, DestPathBase64: api.Base64Unless(f.Name),
			FileSize: f.Size, IsEmptyDir: f.Dir,
		})
	}
	return list, err
}

type deleteManifestParams struct {
	getManifestParams
	Force bool `json:"force" doc:"Whether to cancel transfers of it that have not ended" default:"false"`
}

func (h manifestHandlers) delete(ctx context.Context, p deleteManifestParams) (api.Empty, error) {
	caller, _ := api.CallerOf(ctx)
	return api.Empty{}, h.engine.DeleteManifest(ctx, caller, p.ManifestID, p.Force)
}
