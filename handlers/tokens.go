package handlers

import (
	"context"

	"jetstream/internal/account"
	"jetstream/internal/api"
)

type tokenHandlers struct{ accounts *account.Service }

func tokenCommands(d Deps) []*api.Command {
	h := tokenHandlers{d.Accounts}
	return []*api.Command{
		api.Define(api.Spec{
			Name: "createAPIToken", Method: "POST", Path: "/tokens", Status: 201, Location: "/tokens/{tokenId}",
			Example: map[string]any{"description": "nightly ingest", "permissions": []string{"read", "write"}, "path": "/incoming"},
			Summary: "Make a token that logs in as you",
			Description: "Whoever has the token acts as you, with the rights that you have at that moment, narrowed by " +
				"`permissions` and `path`: commands that only look need `read`, those for superusers `admin`, all others " +
				"`write`. It is shown once, here, and kept only as a hash. A token that is used to make another one gives " +
				"none that is good for more or for longer, nor for another `path` than its own if it has one, and takes it along " +
				"when it is deleted.",
			Message: "Token created. It is not shown again.", Errors: []api.Code{api.CodeConflict},
		}, h.create),
		api.Define(api.Spec{
			Name: "getAPITokens", Method: "GET", Path: "/tokens",
			Summary:     "List the tokens, newest first",
			Description: "Your own; a superuser sees everybody's. Expired ones are removed within two hours.",
			Message:     "Tokens.",
		}, h.list),
		api.Define(api.Spec{
			Name: "deleteAPIToken", Method: "DELETE", Path: "/tokens/{tokenId}",
			Summary:     "End a token, and those that were made with it",
			Description: "It counts at the next call that shows the token; tokens that were made with it go as well.", Message: "Token deleted.", Errors: []api.Code{api.CodeNotFound},
		}, h.delete),
	}
}

type createAPITokenParams struct {
	Description string           `json:"description" doc:"What the token is for, in your words" validate:"max=256"`
	ExpiryTime  *int64           `json:"expiryTime" doc:"When the token ends, in microseconds since the Unix epoch; absent: never" validate:"omitempty,min=1"`
	Permissions []api.Permission `json:"permissions" doc:"What the token is good for: read, write, admin (which only a superuser can give)" default:"[\"read\",\"write\"]" validate:"min=1,max=3,dive,oneof=read write admin"`
	Path        string           `json:"path" doc:"Directory of your sandbox that files used with the token must lie in, such as /incoming" default:"/" validate:"max=4096" bytes:"true"`
}

type createdAPIToken struct {
	account.APIToken
	Token string `json:"token" doc:"The token itself: Authorization: Bearer TOKEN, or JETSTREAM_API_TOKEN" secret:"true"`
}

func (h tokenHandlers) create(ctx context.Context, p createAPITokenParams) (createdAPIToken, error) {
	caller, _ := api.CallerOf(ctx)
	n := account.NewAPIToken{Description: p.Description, Permissions: p.Permissions, Path: p.Path}
	if p.ExpiryTime != nil {
		n.Expiry = api.Time(*p.ExpiryTime)
	}
	t, token, err := h.accounts.CreateAPIToken(ctx, caller, n)
	return createdAPIToken{t, token}, err
}

type getAPITokensParams struct {
	api.ListParams
	ownerParam
}

// APITokenList is the result of getAPITokens.
type APITokenList struct {
	Tokens []account.APIToken `json:"tokens" doc:"The tokens, newest first"`
	nextPage
}

func (h tokenHandlers) list(ctx context.Context, p getAPITokensParams) (APITokenList, error) {
	page, err := pageOf(ctx, p.ListParams, p.Owner, "")
	if err != nil {
		return APITokenList{}, err
	}
	found, next, err := h.accounts.APITokens(ctx, page.Owner, page.Before, page.Limit)
	return APITokenList{listed(found), pageAt(next)}, err
}

type deleteAPITokenParams struct {
	TokenID string `json:"tokenId" doc:"Id of the token" validate:"required,max=64"`
}

func (h tokenHandlers) delete(ctx context.Context, p deleteAPITokenParams) (api.Empty, error) {
	caller, _ := api.CallerOf(ctx)
	return api.Empty{}, h.accounts.DeleteAPIToken(ctx, caller, p.TokenID)
}
