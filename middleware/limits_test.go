package middleware

import (
	"context"
	"net/http"
	"sync"
	"testing"

	"jetstream/internal/api"
)

type waitParams struct{ api.WaitParams }

func waitCommand() *api.Command {
	return api.Define(api.Spec{Name: "wait", Method: "GET", Path: "/wait", Summary: "Wait"},
		func(context.Context, waitParams) (api.Empty, error) { panic("carried out") })
}

// As many wait commands as the quota has are open, half of them by one user;
// commands that do not wait need none of it.
func TestWaitCommandsAreBounded(t *testing.T) {
	begun, release := make(chan struct{}), make(chan struct{})
	limits := Limits(silent, 4, func(context.Context) {})
	wait, look := waitCommand(), command(api.Spec{Name: "look", Method: "GET", Path: "/look"})
	blocking := limits(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		begun <- struct{}{}
		<-release
	}))
	var open sync.WaitGroup
	waiting := func(user string) {
		open.Go(func() { send(calling(wait, &api.Caller{User: user}, blocking), "GET", "/", "") })
		<-begun
	}
	var next reached
	other := limits(&next)
	refused := func(user, words string) {
		t.Helper()
		res := send(calling(wait, &api.Caller{User: user}, other), "GET", "/", "")
		wantReply(t, res, 429, api.CodeTooManyRequests, words)
		if res.Header.Get("Retry-After") != "10" {
			t.Errorf("Retry-After: %q", res.Header.Get("Retry-After"))
		}
		if res := send(calling(look, &api.Caller{User: user}, other), "GET", "/", ""); res.StatusCode != 200 {
			t.Errorf("another command of %s: %d", user, res.StatusCode)
		}
	}
	waiting("ann")
	waiting("ann")
	refused("ann", "(2, 2 of them by this user)")
	waiting("bob")
	waiting("cy")
	refused("dee", "(4, 0 of them by this user)")
	close(release)
	open.Wait()
	if res := send(calling(wait, &api.Caller{User: "dee"}, other), "GET", "/", ""); res.StatusCode != 200 {
		t.Errorf("after the others: %d", res.StatusCode)
	}
}

// What a wait command holds is given back when its handler panics.
func TestAPanicGivesTheQuotaBack(t *testing.T) {
	limits := Limits(silent, 1, func(context.Context) {})
	h := calling(waitCommand(), &api.Caller{User: "ann"}, Recover(silent)(limits(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("a fault") }))))
	for range 3 {
		wantReply(t, send(h, "GET", "/", ""), 500, api.CodeInternal, "internal error")
	}
}

func TestConnectionsOfCallersArePinned(t *testing.T) {
	pinned := 0
	h := Limits(silent, 1, func(context.Context) { pinned++ })(&reached{})
	c := command(api.Spec{Name: "look", Method: "GET", Path: "/look", Access: api.AccessPublic})
	send(calling(c, nil, h), "GET", "/", "")
	if pinned != 0 {
		t.Error("a stranger's connection was pinned")
	}
	send(calling(c, &api.Caller{User: "ann"}, h), "GET", "/", "")
	if pinned != 1 {
		t.Errorf("a caller's connection was pinned %d times", pinned)
	}
}
