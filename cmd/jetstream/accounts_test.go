//go:build unix

package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"jetstream/internal/api"
)

// TestLastSuperuserStays: nobody can lock everybody out.
func TestLastSuperuserStays(t *testing.T) {
	l := newLive(t)
	l.start()
	for what, params := range map[string]map[string]any{"disabled": {"disabled": true}, "demoted": {"superuser": false}} {
		if status, reply := l.rest("root", "PATCH", "/api/v1/users/ROOT", params); status != 409 || !strings.Contains(reply.Message, "last superuser") {
			t.Errorf("%s: %d %s", what, status, reply.Message)
		}
	}
	if status, reply := l.rest("root", "DELETE", "/api/v1/users/root?force=true", nil); status != 409 {
		t.Errorf("deleted: %d %s", status, reply.Message)
	}
	l.callAs("root", "updateUser", map[string]any{"name": "alice", "superuser": true})
	l.callAs("alice", "updateUser", map[string]any{"name": "root", "superuser": false})
	if status, _ := l.rest("root", "GET", "/api/v1/users", nil); status != 403 {
		t.Errorf("a demoted superuser: %d", status)
	}
	if status, reply := l.rest("alice", "DELETE", "/api/v1/users/alice", nil); status != 409 {
		t.Errorf("the last one now: %d %s", status, reply.Message)
	}
}

// TestWhatAUserMayChange: oneself a password, no more.
func TestWhatAUserMayChange(t *testing.T) {
	l := newLive(t)
	l.start()
	for _, params := range []map[string]any{{"superuser": true}, {"sandbox": "/"}, {"disabled": false}, {"mayDelete": false}, {"password": "x", "superuser": true}} {
		if status, reply := l.rest("alice", "PATCH", "/api/v1/users/alice", params); status != 403 {
			t.Errorf("%v: %d %s", params, status, reply.Message)
		}
	}
	if got := l.call("getUser", map[string]any{"name": "ALICE"}); got["name"] != "alice" || got["superuser"] != false {
		t.Errorf("getUser: %v", got)
	}
	cookie := l.signIn("alice")
	l.call("updateUser", map[string]any{"name": "alice", "password": "other"})
	if status, _ := l.rest("alice", "GET", "/api/v1/server", nil); status != 401 {
		t.Errorf("the former password: %d", status)
	}
	if res, _ := l.send("GET", "/api/v1/tokens", "", nil, "Cookie", cookie); res.StatusCode != 401 {
		t.Errorf("the former password's session: %d", res.StatusCode)
	}
	l.password = "other"
	if status, _ := l.rest("alice", "GET", "/api/v1/tokens", nil); status != 200 {
		t.Errorf("the new password: %d", status)
	}
}

// TestServerInfoNamesTheSandbox, whichever way one logs in, and another one from the
// next call on.
func TestServerInfoNamesTheSandbox(t *testing.T) {
	l := newLive(t)
	l.start("--sandbox-dir=" + filepath.Join(l.files, "of-%u"))
	bearer, cookie := "Bearer "+l.token("alice", "/", "read"), l.signIn("alice")
	other := t.TempDir()
	for _, want := range []string{l.files, other, filepath.Join(l.files, "of-alice")} {
		if want != l.files {
			sandbox := want
			if want != other {
				sandbox = ""
			}
			l.callAs("root", "updateUser", map[string]any{"name": "alice", "sandbox": sandbox})
		}
		_, token := l.send("GET", "/api/v1/server", bearer, nil)
		_, session := l.send("GET", "/api/v1/server", "", nil, "Cookie", cookie)
		for what, got := range map[string]any{
			"password": l.call("getServerInfo", nil)["sandbox"],
			"token":    object(t, token)["result"].(map[string]any)["sandbox"],
			"session":  object(t, session)["result"].(map[string]any)["sandbox"],
		} {
			if got != want {
				t.Errorf("%s: the sandbox is %v, want %s", what, got, want)
			}
		}
	}
}

// signIn opens a session of the page, holds what its cookie must say, and
// returns it as a request's header.
func (l *live) signIn(user string) string {
	l.t.Helper()
	res, _ := l.send("POST", "/session", "", map[string]any{"name": user, "password": l.password})
	cookies := res.Cookies()
	if res.StatusCode != 200 || len(cookies) != 1 {
		l.t.Fatalf("signing in: %d, cookies %v", res.StatusCode, cookies)
	}
	c := cookies[0]
	if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || len(c.Value) < 43 {
		l.t.Errorf("cookie %s", c)
	}
	l.secret(c.Value)
	return c.Name + "=" + c.Value
}

// TestSessionsOfServersOnOneHost: a browser keeps cookies by host, not by port,
// and is yet signed in at two servers at a time.
func TestSessionsOfServersOnOneHost(t *testing.T) {
	p := newPair(t)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	web := &http.Client{Jar: jar}
	defer web.CloseIdleConnections()
	ask := func(l *live, method, path, body string) string {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, l.baseURL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		res, err := web.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		text, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%s %s: %d %s %v", method, path, res.StatusCode, text, err)
		}
		return string(text)
	}
	for _, l := range []*live{p.from, p.to} {
		ask(l, "POST", "/session", fmt.Sprintf(`{"name":"root","password":%q}`, l.password))
	}
	for _, l := range []*live{p.from, p.to} {
		if got := ask(l, "GET", "/api/v1/server", ""); !strings.Contains(got, "serverUid") {
			t.Errorf("%s knows its visitor no more: %s", l.baseURL, got)
		}
	}
	ask(p.from, "DELETE", "/session", "")
	if got := ask(p.from, "GET", "/api/v1/server", ""); strings.Contains(got, "serverUid") {
		t.Errorf("signing out did nothing: %s", got)
	}
	if got := ask(p.to, "GET", "/api/v1/server", ""); !strings.Contains(got, "serverUid") {
		t.Errorf("signing out at one server ended the other's session: %s", got)
	}
}

// TestDisabledUserIsOutAtOnce: logins of every kind, and the transfers at both
// ends.
func TestDisabledUserIsOutAtOnce(t *testing.T) {
	for _, removed := range []bool{false, true} {
		p := newPair(t)
		end := func(at *live, user string) {
			t.Helper()
			if removed {
				if status, reply := at.rest("root", "DELETE", "/api/v1/users/"+user, nil); at == p.from && status != 409 {
					t.Errorf("removing the owner of an unfinished transfer: %d %s", status, reply.Message)
				} else if at == p.from {
					at.callAs("root", "deleteUser", map[string]any{"name": user, "force": true})
				}
				return
			}
			at.callAs("root", "updateUser", map[string]any{"name": user, "disabled": true})
		}

		// The receiving side.
		id := p.transfer()
		bearer, cookie := "Bearer "+p.to.token("bob", "/", "read"), p.to.signIn("bob")
		end(p.to, "bob")
		for what, call := range map[string]func() int{
			"password": func() int { status, _ := p.to.rest("bob", "GET", "/api/v1/tokens", nil); return status },
			"token":    func() int { res, _ := p.to.send("GET", "/api/v1/tokens", bearer, nil); return res.StatusCode },
			"session": func() int {
				res, _ := p.to.send("GET", "/api/v1/tokens", "", nil, "Cookie", cookie)
				return res.StatusCode
			},
		} {
			if got := call(); got != 401 {
				t.Errorf("removed %v, %s: %d", removed, what, got)
			}
		}
		x := p.from.call("send.createTransfer", map[string]any{
			"manifestId": p.manifest(), "destinationId": p.destination(), "username": "bob", "password": testPassword})
		if got := p.from.call("send.waitForTransfer", map[string]any{"transferId": x["transferId"]}); got["status"] != "error" {
			t.Errorf("removed %v: a transfer authorized by one who is out: %v", removed, got)
		}
		if got := p.from.call("send.getTransfer", map[string]any{"transferId": id}); got["status"] != "complete" {
			t.Errorf("what had ended before: %v", got)
		}

		// The sending side.
		d := p.from.call("send.createDestination", map[string]any{"destinationAddress": "127.0.0.1", "destinationPort": 1})
		x = p.from.call("send.createTransfer", map[string]any{
			"manifestId": p.manifest(), "destinationId": d["destinationId"], "username": "bob", "password": testPassword})
		end(p.from, "alice")
		got := p.from.callAs("root", "send.getTransfer", map[string]any{"transferId": x["transferId"]})
		want, message := "error", "disabled"
		if removed {
			want, message = "cancelled", ""
		}
		if got["status"] != want || !strings.Contains(got["errorMessage"].(string), message) {
			t.Errorf("removed %v: the owner's transfer: %v", removed, got)
		}
		p.from.stop()
		p.to.stop()
	}
}

// TestConfinedTokenReachesNothingElse: neither by a name nor by a link, nor by
// another's manifest.
func TestConfinedTokenReachesNothingElse(t *testing.T) {
	p := newPair(t)
	files := p.from.files
	for _, err := range []error{
		os.WriteFile(filepath.Join(files, "private"), []byte("secret"), 0o600),
		os.Mkdir(filepath.Join(files, "reel2"), 0o700),
		os.Symlink("../private", filepath.Join(files, "reel", "relative")),
		os.Symlink(filepath.Join(files, "private"), filepath.Join(files, "reel", "absolute")),
		os.Symlink("a.txt", filepath.Join(files, "reel", "inside")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	bearer := "Bearer " + p.from.token("alice", "/reel", "read", "write")
	call := func(command string, params map[string]any) (int, map[string]any) {
		t.Helper()
		res, body := p.from.send("POST", "/api/v1/command", bearer, map[string]any{"request": command, "parameters": params})
		return res.StatusCode, object(t, body)
	}
	manifest := func(source string) map[string]any {
		t.Helper()
		status, reply := call("send.createManifest", map[string]any{"fileMappings": map[string]any{source: "/x"}})
		if status != 201 {
			t.Fatalf("createManifest: %d %v", status, reply)
		}
		_, reply = call("send.waitForManifest", map[string]any{"manifestId": reply["result"].(map[string]any)["manifestId"]})
		return reply["result"].(map[string]any)
	}
	for _, source := range []string{"/private", "/", "/reel2", "/reel/../private"} {
		if m := manifest(source); m["status"] != "error" || m["totalFiles"] != nil {
			t.Errorf("%s: %v", source, m)
		}
	}
	for _, source := range []string{"/reel/relative", "/reel/absolute"} { // links out of it are skipped
		if m := manifest(source); m["status"] != "complete" || m["totalFiles"] != 0.0 || m["skippedEntries"] != 1.0 {
			t.Errorf("%s: %v", source, m)
		}
	}
	for _, source := range []string{"/reel/a.txt", "/reel/b", "/reel/inside"} {
		if m := manifest(source); m["status"] != "complete" {
			t.Errorf("%s: %v", source, m)
		}
	}
	destination := p.destination()
	send := func(manifestID any) (int, map[string]any) {
		return call("send.createTransfer", map[string]any{"manifestId": manifestID, "destinationId": destination, "username": "bob", "password": testPassword})
	}
	if status, reply := send(p.manifest()); status != 403 {
		t.Errorf("a manifest of the whole sandbox: %d %v", status, reply)
	}
	// A link put there after the walk, under the name of a file, leads out too
	// late: what is sent is looked at again.
	swapped := manifest("/reel/b")
	if err := os.Rename(filepath.Join(files, "reel/b"), filepath.Join(files, "reel2/b")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../reel2/b", filepath.Join(files, "reel/b")); err != nil {
		t.Fatal(err)
	}
	status, reply := send(swapped["manifestId"])
	if status != 201 {
		t.Fatalf("createTransfer: %d %v", status, reply)
	}
	got := p.from.call("send.waitForTransfer", map[string]any{"transferId": reply["result"].(map[string]any)["transferId"]})
	if got["status"] != "error" || !strings.Contains(got["errorMessage"].(string), "confined") {
		t.Errorf("a link put there later: %v", got)
	}
	if status, reply := send(manifest("/reel/a.txt")["manifestId"]); status != 201 {
		t.Errorf("its own manifest: %d %v", status, reply)
	}
	// What lies below by its name lies elsewhere by a link: neither a token for it
	// nor what another token has made there is within reach.
	if err := os.Symlink("../reel2", filepath.Join(files, "reel/leak")); err != nil {
		t.Fatal(err)
	}
	if status, reply := call("createAPIToken", map[string]any{"permissions": []string{"read"}, "path": "/reel/leak"}); status != 403 {
		t.Errorf("a token for what a link leads to: %d %v", status, reply)
	}
	whole := bearer
	bearer = "Bearer " + p.from.token("alice", "/reel/leak", "read", "write")
	leaked := manifest("/reel/leak/b")
	bearer = whole
	if leaked["status"] != "complete" {
		t.Fatalf("a manifest of what a link leads to: %v", leaked)
	}
	if status, reply := send(leaked["manifestId"]); status != 403 {
		t.Errorf("a manifest of what a link leads to: %d %v", status, reply)
	}
	for _, path := range []string{"/", "/private", "/reel/relative", "/reel2"} {
		if status, reply := call("ls", map[string]any{"path": path}); status != api.CodeForbidden.HTTPStatus() {
			t.Errorf("ls %s: %d %v", path, status, reply)
		}
	}
	if status, reply := call("ls", map[string]any{"path": "/reel"}); status != 200 {
		t.Errorf("ls /reel: %d %v", status, reply)
	}
}
