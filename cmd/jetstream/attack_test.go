//go:build unix

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"jetstream/handlers"
	"jetstream/internal/account"
	"jetstream/internal/api"
	"jetstream/internal/store"
)

// send calls a route with an Authorization header, if any, and returns what
// came, bodies of any kind.
func (l *live) send(method, path, authorization string, body any, headers ...string) (*http.Response, []byte) {
	l.t.Helper()
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			l.t.Fatal(err)
		}
		r = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(l.t.Context(), method, l.baseURL+path, r)
	if err != nil {
		l.t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.Header.Get("Content-Type") == "text/event-stream" {
		return res, nil
	}
	b, err := io.ReadAll(res.Body)
	if err != nil {
		l.t.Fatal(err)
	}
	l.exchanged(body, b)
	return res, b
}

// token makes a token of user with these permissions and this path.
func (l *live) token(user, path string, permissions ...string) string {
	l.t.Helper()
	return l.callAs(user, "createAPIToken", map[string]any{"permissions": permissions, "path": path})["token"].(string)
}

// oldToken puts a token of user that ended at expiry into the database of a
// server that does not run, as if it had been made before.
func (l *live) oldToken(user string, expiry time.Time) string {
	l.t.Helper()
	db, err := store.Open(l.t.Context(), l.state)
	if err != nil {
		l.t.Fatal(err)
	}
	text := "jst.YWxpY2U." + api.NewID()
	err = db.Accounts().InsertToken(l.t.Context(), &account.APIToken{
		TokenID: api.NewID(), Owner: user, Permissions: []api.Permission{"read", "write", "admin"}, Path: "/",
		ExpiryTime: api.TimeOf(expiry), Hash: sha256.Sum256([]byte(text)),
	}, 10)
	if err := errors.Join(err, db.Close()); err != nil {
		l.t.Fatal(err)
	}
	return text
}

// login is one way to call the server, and what it is good for.
type login struct {
	name                  string
	authorization, cookie string
	valid, superuser      bool
	permissions           []api.Permission // nil: all
}

// may reports whether a login is good for what needs that permission.
func (l login) may(need api.Permission) bool {
	return l.valid && (l.permissions == nil || slices.Contains(l.permissions, need)) && (need != api.PermissionAdmin || l.superuser)
}

// everyLogin makes one of each kind: none, forged, ended, by password, by cookie
// of the page, by tokens of every scope.
func (l *live) everyLogin(expired string) []login {
	l.t.Helper()
	const read, write, admin = api.PermissionRead, api.PermissionWrite, api.PermissionAdmin
	token := func(user, path string, permissions ...api.Permission) string {
		var names []string
		for _, p := range permissions {
			names = append(names, string(p))
		}
		return "Bearer " + l.token(user, path, names...)
	}
	deleted := l.callAs("root", "createAPIToken", nil)
	l.callAs("root", "deleteAPIToken", map[string]any{"tokenId": deleted["tokenId"]})
	left := l.signIn("root")
	if res, _ := l.send("DELETE", "/session", "", nil, "Cookie", left); res.StatusCode != 200 {
		l.t.Fatalf("signing out: %d", res.StatusCode)
	}
	logins := []login{
		{name: "nobody"},
		{name: "a forged token", authorization: "Bearer jst.cm9vdA.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},
		{name: "an expired token", authorization: "Bearer " + expired},
		{name: "a deleted token", authorization: "Bearer " + deleted["token"].(string)},
		{name: "a disabled superuser's token", authorization: token("mallory", "/", read, write, admin)},
		{name: "a session that was left", cookie: left},
		{name: "a made-up session", cookie: strings.SplitAfter(left, "=")[0] + "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},
		{name: "a common user's password", authorization: basic("alice", l.password), valid: true},
		{name: "a common user on the page", cookie: l.signIn("alice"), valid: true},
		{name: "token: read", authorization: token("alice", "/", read), valid: true, permissions: []api.Permission{read}},
		{name: "token: write", authorization: token("alice", "/", write), valid: true, permissions: []api.Permission{write}},
		{name: "token: read, write", authorization: token("alice", "/", read, write), valid: true, permissions: []api.Permission{read, write}},
		{name: "token: read, confined to /reel", authorization: token("alice", "/reel", read), valid: true, permissions: []api.Permission{read}},
		{name: "a superuser's token: read, write", authorization: token("root", "/", read, write), valid: true, permissions: []api.Permission{read, write}},
		{name: "a superuser's token: admin", authorization: token("root", "/", admin), valid: true, superuser: true, permissions: []api.Permission{admin}},
		{name: "a superuser's token: read, write, admin", authorization: token("root", "/", read, write, admin), valid: true, superuser: true, permissions: []api.Permission{read, write, admin}},
		{name: "a superuser's password", authorization: basic("root", l.password), valid: true, superuser: true},
		{name: "a superuser on the page", cookie: l.signIn("root"), valid: true, superuser: true},
	}
	l.callAs("root", "updateUser", map[string]any{"name": "mallory", "disabled": true})
	return logins
}

// needOf is the permission that a command needs by its declaration alone: no
// command may be permitted by a rule of its own.
func needOf(c *api.Command) api.Permission {
	switch {
	case c.Access == api.AccessSuperuser:
		return api.PermissionAdmin
	case c.Method == "GET":
		return api.PermissionRead
	}
	return api.PermissionWrite
}

// TestEveryRouteAndMethodIsGuarded walks all commands by REST and envelope and by every
// method, and what stands beside them, with every kind of login. What is
// permitted is called with a parameter that does not exist, so that nothing
// happens: it answers 400.
func TestEveryRouteAndMethodIsGuarded(t *testing.T) {
	l := newLive(t)
	l.addUser("mallory", true)
	expired := l.oldToken("root", time.Now().Add(-time.Minute))
	l.start()
	log := newAttackLog(t, "routes", "login", "commands that look", "commands that change", "commands for superusers", "the event stream",
		"`/metrics`, `/healthz?verbose`", "any other method of any route")
	commands := handlers.Commands(handlers.Deps{}).All()
	for _, login := range l.everyLogin(expired) {
		var headers []string
		if login.cookie != "" {
			headers = []string{"Cookie", login.cookie}
		}
		call := func(method, path string, body any) (int, []byte) {
			t.Helper()
			res, text := l.send(method, path, login.authorization, body, headers...)
			return res.StatusCode, text
		}
		expect := func(what string, got int, need api.Permission, permitted int) {
			t.Helper()
			want := permitted
			if !login.valid {
				want = 401
			} else if !login.may(need) {
				want = 403
			}
			if got != want {
				t.Errorf("%s, %s: %d, want %d", login.name, what, got, want)
			}
		}
		seen, others := map[api.Permission]statuses{api.PermissionRead: {}, api.PermissionWrite: {}, api.PermissionAdmin: {}}, statuses{}
		elsewise := func(path string, but ...string) {
			t.Helper()
			for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "PROPFIND"} {
				if slices.Contains(but, method) {
					continue
				}
				status, body := call(method, path, nil)
				if status < 400 || bytes.Contains(body, []byte(`"success"`)) {
					t.Errorf("%s, %s %s: %d %s", login.name, method, path, status, body)
				}
				others[status] = true
			}
		}
		for _, c := range commands {
			need, path := needOf(c), restPath(c, map[string]any{})
			status, _ := call(c.Method, path+"?noSuchThing=1", nil)
			seen[need][status] = true
			if c.Access == api.AccessPublic && login.authorization == "" && !login.valid {
				if status != 400 {
					t.Errorf("%s is for everybody, and answers %d", c.Name, status)
				}
			} else {
				expect("REST "+c.Name, status, need, 400)
			}
			status, _ = call("POST", "/api/v1/command", map[string]any{"request": c.Name, "parameters": map[string]any{"noSuchThing": 1}})
			seen[need][status] = true
			expect("envelope "+c.Name, status, need, 400)
			switch {
			case login.valid:
			case c.Access == api.AccessPublic:
				elsewise(path, c.Method, "HEAD")
			default:
				elsewise(path, c.Method)
			}
		}
		stream, _ := call("GET", "/api/v1/events", nil)
		expect("the event stream", stream, api.PermissionRead, 200)
		inside := statuses{}
		for _, path := range []string{"/metrics", "/healthz?verbose", "/healthz?verbose=0"} {
			for _, method := range []string{"GET", "HEAD"} {
				status, _ := call(method, path, nil)
				expect(method+" "+path, status, api.PermissionAdmin, 200)
				inside[status] = true
			}
			elsewise(path, "GET", "HEAD")
		}
		for _, path := range []string{"/api/v1", "/api/v1/", "/api/v1/nothing", "/api/v1//users", "/api/v1/server/../users", "/api/v1/users%2f..%2fserver"} {
			if status, _ := call("GET", path, nil); !login.valid && status != 401 && status != 404 {
				t.Errorf("%s, %s: %d", login.name, path, status)
			}
		}
		log.row(login.name, seen[api.PermissionRead].String(), seen[api.PermissionWrite].String(), seen[api.PermissionAdmin].String(),
			fmt.Sprint(stream), inside.String(), others.String())
	}
	log.finish()
}

// TestUsersCannotBeEnumerated: what a stranger or a common user is told about
// somebody who is there is what they are told about nobody.
func TestUsersCannotBeEnumerated(t *testing.T) {
	l := newLive(t)
	l.start()
	same := func(what string, call func(name string) (int, api.Reply)) {
		t.Helper()
		status, there := call("root")
		other, nobody := call("nobody")
		there.Message = strings.ReplaceAll(there.Message, "root", "nobody")
		if status != other || there.Message != nobody.Message || there.Status != nobody.Status {
			t.Errorf("%s: %d %q for one who is there, %d %q for nobody", what, status, there.Message, other, nobody.Message)
		}
		if status == 200 {
			t.Errorf("%s: 200", what)
		}
	}
	same("a wrong password", func(name string) (int, api.Reply) {
		l.password = "a-wrong-guess"
		defer func() { l.password = testPassword }()
		return l.rest(name, "GET", "/api/v1/server", nil)
	})
	same("the page", func(name string) (int, api.Reply) {
		return l.rest("", "POST", "/session", map[string]any{"name": name, "password": "a-wrong-guess"})
	})
	same("getUser", func(name string) (int, api.Reply) { return l.rest("alice", "GET", "/api/v1/users/"+name, nil) })
	same("updateUser", func(name string) (int, api.Reply) {
		return l.rest("alice", "PATCH", "/api/v1/users/"+name, map[string]any{"password": "mine"})
	})
	same("deleteUser", func(name string) (int, api.Reply) { return l.rest("alice", "DELETE", "/api/v1/users/"+name, nil) })
	same("getAPITokens", func(name string) (int, api.Reply) { return l.rest("alice", "GET", "/api/v1/tokens?owner="+name, nil) })

	theirs := l.callAs("root", "createAPIToken", nil)["tokenId"].(string)
	status, reply := l.rest("alice", "DELETE", "/api/v1/tokens/"+theirs, nil)
	other, nothing := l.rest("alice", "DELETE", "/api/v1/tokens/"+api.NewID(), nil)
	if status != 404 || other != 404 || reply.Message[:20] != nothing.Message[:20] {
		t.Errorf("another's token: %d %q, none: %d %q", status, reply.Message, other, nothing.Message)
	}
}

// TestTokensGiveNothingMore: no way leads from a token to more than it is.
func TestTokensGiveNothingMore(t *testing.T) {
	l := newLive(t)
	l.start()
	soon := time.Now().Add(time.Hour).UnixMicro()
	parent := l.callAs("alice", "createAPIToken", map[string]any{"permissions": []string{"read", "write"}, "path": "/reel", "expiryTime": soon})
	bearer := "Bearer " + parent["token"].(string)
	for what, params := range map[string]map[string]any{
		"admin":         {"permissions": []string{"read", "admin"}, "expiryTime": soon},
		"the sandbox":   {"path": "/", "expiryTime": soon},
		"a neighbour":   {"path": "/reel2", "expiryTime": soon},
		"a way out":     {"path": "/reel/../..", "expiryTime": soon},
		"what is below": {"path": "/reel/b", "expiryTime": soon}, // or is a link to somewhere else
		"for ever":      {"path": "/reel"},
		"longer":        {"path": "/reel", "expiryTime": soon + 1},
	} {
		res, body := l.send("POST", "/api/v1/tokens", bearer, params)
		if res.StatusCode != 403 && res.StatusCode != 400 {
			t.Errorf("a token for %s: %d %s", what, res.StatusCode, body)
		}
	}
	if res, body := l.send("PATCH", "/api/v1/users/alice", bearer, map[string]any{"password": "mine"}); res.StatusCode != 403 {
		t.Errorf("another password: %d %s", res.StatusCode, body)
	}
	for what, params := range map[string]map[string]any{
		"admin for a common user": {"permissions": []string{"admin"}},
		"no permission":           {"permissions": []string{}},
		"an unknown permission":   {"permissions": []string{"root"}},
		"expired at birth":        {"expiryTime": 1},
	} {
		if status, reply := l.rest("alice", "POST", "/api/v1/tokens", params); status != 403 && status != 400 {
			t.Errorf("%s: %d %s", what, status, reply.Message)
		}
	}
	if status, reply := l.rest("root", "POST", "/api/v1/tokens", map[string]any{"permissions": []string{"admin"}, "path": "/reel"}); status != 400 {
		t.Errorf("a confined admin: %d %s", status, reply.Message)
	}

	// What a token has made ends with it.
	res, body := l.send("POST", "/api/v1/tokens", bearer, map[string]any{"permissions": []string{"read"}, "path": "/reel", "expiryTime": soon})
	if res.StatusCode != 201 || res.Header.Get("Location") == "" {
		t.Fatalf("a weaker token: %d %s", res.StatusCode, body)
	}
	var made api.Reply
	if err := json.Unmarshal(body, &made); err != nil {
		t.Fatal(err)
	}
	child := "Bearer " + object(t, made.Result)["token"].(string)
	if res, _ := l.send("GET", "/api/v1/server", child, nil); res.StatusCode != 200 {
		t.Fatalf("the weaker token: %d", res.StatusCode)
	}
	if status, reply := l.rest("alice", "DELETE", "/api/v1/tokens/"+parent["tokenId"].(string), nil); status != 200 {
		t.Fatalf("deleteAPIToken: %d %s", status, reply.Message)
	}
	for name, token := range map[string]string{"the deleted token": bearer, "its child": child} {
		if res, _ := l.send("GET", "/api/v1/server", token, nil); res.StatusCode != 401 {
			t.Errorf("%s: %d", name, res.StatusCode)
		}
	}
	if list := l.callAs("root", "getAPITokens", map[string]any{"owner": "alice"})["tokens"].([]any); len(list) != 0 {
		t.Errorf("left: %v", list)
	}
	for i := range 3 {
		l.callAs("alice", "createAPIToken", map[string]any{"description": fmt.Sprint(i)})
	}
	page := l.callAs("alice", "getAPITokens", map[string]any{"limit": 2})
	rest := l.callAs("alice", "getAPITokens", map[string]any{"limit": 2, "cursor": page["nextCursor"]})
	if first, last := page["tokens"].([]any), rest["tokens"].([]any); len(first) != 2 || len(last) != 1 || rest["nextCursor"] != nil ||
		first[0].(map[string]any)["description"] != "2" || last[0].(map[string]any)["token"] != nil {
		t.Errorf("pages %v and %v", page, rest)
	}
}
