package handlers

import (
	"context"

	"jetstream/internal/api"
	"jetstream/internal/files"
)

type fileHandlers struct{ files *files.Service }

func fileCommands(d Deps) []*api.Command {
	h := fileHandlers{d.Files}
	found := []api.Code{api.CodeNotFound, api.CodeConflict}
	changes := []api.Code{api.CodeNotFound, api.CodeConflict, api.CodeUnavailable}
	return []*api.Command{
		api.Define(api.Spec{
			Name: "ls", Method: "GET", Path: "/files",
			Summary: "List a directory of the caller's sandbox",
			Description: "In the order of the names' bytes; of anything but a directory the one entry itself. Links are followed " +
				"inside the sandbox. A page may hold fewer entries than `limit`: the server's own state and the part files of " +
				"transfers that are being received are left out.",
			Message: "Files.", Errors: found,
			Example: map[string]any{"path": "/reel"},
		}, h.list),
		api.Define(api.Spec{
			Name: "lsRoots", Method: "GET", Path: "/files/roots",
			Summary:     "List the roots that the caller's paths begin with",
			Description: "It is `/`, the caller's sandbox. One that contains the trigger directory, say, may only be read, and `reason` says so.",
			Message:     "Roots.", Errors: []api.Code{api.CodeConflict},
		}, h.roots),
		api.Define(api.Spec{
			Name: "du", Method: "GET", Path: "/files/usage",
			Summary: "Count the files and bytes at and below a path",
			Description: "Links below the path are counted and not followed. It ends when the caller goes away; a tree of more than " +
				"20 million entries or 128 levels is a `conflict`.",
			Message: "Usage.", Errors: found,
			Example: map[string]any{"path": "/reel"},
		}, h.usage),
		api.Define(api.Spec{
			Name: "mkdir", Method: "POST", Path: "/files/directories", Status: 201, Location: "/files?path={path}",
			Summary:     "Make a directory with its missing parents",
			Description: "A directory that is there already is answered with 200 and stays as it is; anything else of that path is a `conflict`.",
			Message:     "Directory made.", Errors: changes,
			Example: map[string]any{"path": "/incoming"},
		}, h.mkdir),
		api.Define(api.Spec{
			Name: "mv", Method: "POST", Path: "/files/move",
			Summary: "Give a file, directory or link another path",
			Description: "`newPath` is the name that it gets, also where a directory of that name exists: there is no moving " +
				"*into* without saying the name. Its directory must be there. A link is moved itself. What holds part files of a " +
				"transfer that is being received stays where it is.",
			Message: "Moved.", Errors: changes,
			Example: map[string]any{"path": "/incoming/reel", "newPath": "/archive/reel"},
		}, h.move),
		api.Define(api.Spec{
			Name: "rm", Method: "DELETE", Path: "/files",
			Summary: "Remove a file, link or directory",
			Description: "A directory that is not empty needs `recursive`. A link is removed itself, never what it leads to. " +
				"When the caller goes away meanwhile, the rest stays. What holds part files of a transfer that is being received is a `conflict`.",
			Message: "Removed.", Errors: changes,
			Example: map[string]any{"path": "/incoming/reel", "recursive": true},
		}, h.remove),
	}
}

// principalOf returns the user in whose sandbox the call works.
func principalOf(ctx context.Context) (files.Principal, error) {
	caller, _ := api.CallerOf(ctx)
	user, err := caller.Owner()
	return files.Principal{User: user, Within: caller.ConfinedTo()}, err
}

type optionalPathParam struct {
	Path string `json:"path" doc:"Path in your sandbox, which is /" default:"/" validate:"max=16384" bytes:"true"`
}

type lsParams struct {
	optionalPathParam
	api.ListParams
}

type fileList struct {
	Path       string        `json:"path" doc:"The path that was listed"`
	PathBase64 string        `json:"pathBase64,omitempty" doc:"The exact path in base64, where it is not UTF-8"`
	Files      []files.Entry `json:"files" doc:"Its entries, in the order of their names"`
	nextPage
}

// list lists a page. Its cursor is the last name that the page before has read.
func (h fileHandlers) list(ctx context.Context, p lsParams) (fileList, error) {
	principal, err := principalOf(ctx)
	if err != nil {
		return fileList{}, err
	}
	after, err := parseNameCursor(p.Cursor)
	if err != nil {
		return fileList{}, err
	}
	clean, found, next, err := h.files.List(ctx, principal, p.Path, after, p.Limit)
	return fileList{clean, api.Base64Unless(clean), listed(found), pageAfter(next)}, err
}

type lsRootsParams struct{}

type rootList struct {
	Roots []files.Root `json:"roots" doc:"The roots"`
}

func (h fileHandlers) roots(ctx context.Context, _ lsRootsParams) (rootList, error) {
	principal, err := principalOf(ctx)
	if err != nil {
		return rootList{}, err
	}
	roots, err := h.files.Roots(ctx, principal)
	return rootList{roots}, err
}

func (h fileHandlers) usage(ctx context.Context, p optionalPathParam) (files.Usage, error) {
	principal, err := principalOf(ctx)
	if err != nil {
		return files.Usage{}, err
	}
	return h.files.Usage(ctx, principal, p.Path)
}

type pathParam struct {
	Path string `json:"path" doc:"Path in your sandbox, beginning with /" validate:"required,max=16384" bytes:"true"`
}

type pathResult struct {
	Path       string `json:"path" doc:"The path, in its plain form"`
	PathBase64 string `json:"pathBase64,omitempty" doc:"The exact path in base64, where it is not UTF-8"`
}

func (h fileHandlers) mkdir(ctx context.Context, p pathParam) (api.Result[pathResult], error) {
	none := api.Result[pathResult]{}
	principal, err := principalOf(ctx)
	if err != nil {
		return none, err
	}
	clean, made, err := h.files.MakeDir(ctx, principal, p.Path)
	if err != nil {
		return none, err
	}
	r := api.Result[pathResult]{Value: pathResult{clean, api.Base64Unless(clean)}, Existing: !made}
	if !made {
		r.Message = "The directory was there already."
	}
	return r, nil
}

type mvParams struct {
	pathParam
	NewPath   string `json:"newPath" doc:"The path that it gets" validate:"required,max=16384" bytes:"true"`
	Overwrite bool   `json:"overwrite" doc:"Whether to replace a file or link that has the new path, never a directory" default:"false"`
}

func (h fileHandlers) move(ctx context.Context, p mvParams) (pathResult, error) {
	principal, err := principalOf(ctx)
	if err != nil {
		return pathResult{}, err
	}
	clean, err := h.files.Move(ctx, principal, p.Path, p.NewPath, p.Overwrite)
	return pathResult{clean, api.Base64Unless(clean)}, err
}

type rmParams struct {
	pathParam
	Recursive bool `json:"recursive" doc:"Whether to remove a directory with all that is below it" default:"false"`
}

type removal struct {
	Path       string `json:"path" doc:"The path that was removed, in its plain form"`
	PathBase64 string `json:"pathBase64,omitempty" doc:"The exact path in base64, where it is not UTF-8"`
	Removed    int64  `json:"removed" doc:"How many files, links and directories are gone"`
}

func (h fileHandlers) remove(ctx context.Context, p rmParams) (removal, error) {
	principal, err := principalOf(ctx)
	if err != nil {
		return removal{}, err
	}
	clean, removed, err := h.files.Remove(ctx, principal, p.Path, p.Recursive)
	return removal{clean, api.Base64Unless(clean), removed}, err
}
