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
				"and two sources of one name, end the manifest with status `error`.",
			Message: "Manifest requested.",
			Example: map[string]any{"fileMappings": map[string]any{"/reel": "/reel"}},
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
			Summary: "Show a manifest", Message: "Manifest.", Errors: notFound,
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

type createManifestParams struct {
	FileMappings map[string]string `json:"fileMappings" doc:"Source paths in your sandbox and the names that they get at the receiver, 1 to 10000 entries" validate:"required,min=1,max=10000"`
	UserData     map[string]string `json:"userData" doc:"Data of your own, kept with the manifest" validate:"max=64"`
}

func (h manifestHandlers) create(ctx context.Context, p createManifestParams) (transfer.Manifest, error) {
	caller, _ := api.CallerOf(ctx)
	owner, err := caller.Owner()
	if err != nil {
		return transfer.Manifest{}, err
	}
	return h.engine.CreateManifest(ctx, transfer.NewManifest{
		Owner: owner, FileMappings: p.FileMappings, UserData: p.UserData, Confined: caller.ConfinedTo(),
		RequestID: caller.RequestID, Depth: caller.Depth,
	})
}

type getManifestsParams struct {
	api.ListParams
	ownerParam
	Status transfer.Status `json:"status" doc:"Only those in this state" validate:"omitempty,oneof=pending complete error"`
}

type manifestList struct {
	Manifests  []transfer.Manifest `json:"manifests" doc:"The manifests, newest first"`
	NextCursor *string             `json:"nextCursor" doc:"Cursor of the next page; null on the last"`
}

func (h manifestHandlers) list(ctx context.Context, p getManifestsParams) (manifestList, error) {
	page, err := pageOf(ctx, p.ListParams, p.Owner, p.Status)
	if err != nil {
		return manifestList{}, err
	}
	found, more, err := h.engine.Manifests(ctx, page)
	list := manifestList{Manifests: listed(found)}
	if more {
		list.NextCursor = cursor(found[len(found)-1].Seq)
	}
	return list, err
}

type getManifestParams struct {
	ManifestID string `json:"manifestId" doc:"Id of the manifest" validate:"required,max=64"`
}

func (h manifestHandlers) get(ctx context.Context, p getManifestParams) (transfer.Manifest, error) {
	m, err := h.engine.Manifest(ctx, p.ManifestID)
	if err == nil {
		err = mayAct(ctx, m.Owner, "manifest", p.ManifestID)
	}
	if err != nil {
		return transfer.Manifest{}, err
	}
	return m, nil
}

type waitForManifestParams struct {
	getManifestParams
	api.WaitParams
}

func (h manifestHandlers) wait(ctx context.Context, p waitForManifestParams) (transfer.Manifest, error) {
	if _, err := h.get(ctx, p.getManifestParams); err != nil {
		return transfer.Manifest{}, err
	}
	return h.engine.WaitForManifest(ctx, p.ManifestID, time.Duration(p.TimeoutSeconds)*time.Second)
}

type getManifestFilesParams struct {
	getManifestParams
	api.ListParams
}

type manifestFile struct {
	SrcPath    string `json:"srcPath" doc:"Path in the owner's sandbox"`
	DestPath   string `json:"destPath" doc:"Name at the receiver, below destinationPath"`
	FileSize   int64  `json:"fileSize" doc:"Bytes; 0 for a directory"`
	IsEmptyDir bool   `json:"isEmptyDir" doc:"Whether it is an empty directory"`
}

type manifestFileList struct {
	ManifestID string         `json:"manifestId" doc:"Id of the manifest"`
	Files      []manifestFile `json:"files" doc:"Files and empty directories, in the order of the manifest"`
	NextCursor *string        `json:"nextCursor" doc:"Cursor of the next page; null on the last"`
}

func (h manifestHandlers) files(ctx context.Context, p getManifestFilesParams) (manifestFileList, error) {
	if _, err := h.get(ctx, p.getManifestParams); err != nil {
		return manifestFileList{}, err
	}
	from, err := parseCursor(p.Cursor)
	if err != nil {
		return manifestFileList{}, err
	}
	found, err := h.engine.ManifestFiles(ctx, p.ManifestID, from, p.Limit+1)
	if err != nil {
		return manifestFileList{}, err
	}
	list := manifestFileList{ManifestID: p.ManifestID, Files: []manifestFile{}}
	if len(found) > p.Limit {
		list.NextCursor = cursor(found[p.Limit].Index)
		found = found[:p.Limit]
	}
	for _, f := range found {
		list.Files = append(list.Files, manifestFile{f.Source, f.Name, f.Size, f.EmptyDir})
	}
	return list, nil
}

type deleteManifestParams struct {
	getManifestParams
	Force bool `json:"force" doc:"Whether to cancel transfers of it that have not ended" default:"false"`
}

func (h manifestHandlers) delete(ctx context.Context, p deleteManifestParams) (api.Empty, error) {
	if _, err := h.get(ctx, p.getManifestParams); err != nil {
		return api.Empty{}, err
	}
	return api.Empty{}, h.engine.DeleteManifest(ctx, p.ManifestID, p.Force)
}
