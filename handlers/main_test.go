package handlers

import (
	"encoding/json"
	"testing"

	"jetstream/internal/api"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// calls are commands that a test calls as one user or another.
type calls struct {
	t *testing.T
	*api.Registry
}

// as calls a command as a user; root is a superuser, and so is "", a launch
// script.
func (c calls) as(user, name string, params any) (api.Outcome, map[string]any, error) {
	c.t.Helper()
	command, ok := c.Find(name)
	if !ok {
		c.t.Fatalf("no command %s", name)
	}
	ctx := api.WithCaller(c.t.Context(), api.Caller{User: user, Superuser: user == "root" || user == "", RequestID: "req"})
	out, err := command.Do(ctx, params)
	if err != nil {
		return out, nil, err
	}
	var result map[string]any
	if err := json.Unmarshal(out.Result, &result); err != nil {
		c.t.Fatal(err)
	}
	return out, result, nil
}

// ok is as for calls that must succeed.
func (c calls) ok(user, name string, params any) (api.Outcome, map[string]any) {
	c.t.Helper()
	out, result, err := c.as(user, name, params)
	if err != nil {
		c.t.Fatalf("%s as %q: %v", name, user, err)
	}
	return out, result
}

// refused is as for calls that must fail with a code.
func (c calls) refused(code api.Code, user, name string, params any) {
	c.t.Helper()
	if _, _, err := c.as(user, name, params); err == nil || api.ErrorOf(err).Code != code {
		c.t.Errorf("%s as %q answers %v, want %s", name, user, err, code)
	}
}
