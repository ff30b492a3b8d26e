//go:build unix

package main

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"jetstream/handlers"
	"jetstream/internal/api"
	"jetstream/internal/server/servertest"
)

// answered is a status with the code of the reply, "" for what is no reply.
func answered(res *http.Response, body []byte) string {
	if i := strings.Index(string(body), `{"status":"`); i == 0 {
		code, _, _ := strings.Cut(string(body)[len(`{"status":"`):], `"`)
		return fmt.Sprintf("%d %s", res.StatusCode, code)
	}
	return fmt.Sprint(res.StatusCode)
}

// rawly sends a request line with headers and a body as they are.
func (l *live) rawly(line, body string, headers ...string) string {
	l.t.Helper()
	var b strings.Builder
	b.WriteString(line + " HTTP/1.1\r\n")
	if !slices.ContainsFunc(headers, func(h string) bool { return strings.HasPrefix(h, "Host:") }) {
		b.WriteString("Host: 127.0.0.1\r\n")
	}
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	if body != "" && !slices.ContainsFunc(headers, func(h string) bool {
		return strings.HasPrefix(h, "Content-Length:") || strings.HasPrefix(h, "Transfer-Encoding:")
	}) {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	res, text := l.rawRead(b.String() + "Connection: close\r\n\r\n" + body)
	return answered(res, text)
}

// TestPagesOfOtherSitesAreRefused: a page of another site, or one whose name was re-pointed at
// this machine, can neither read nor write, though the browser is signed in and
// the server on loopback.
func TestPagesOfOtherSitesAreRefused(t *testing.T) {
	l := newLive(t)
	l.start()
	cookie := "Cookie: " + l.signIn("root")
	_, session, _ := strings.Cut(cookie, "=")
	cookie += "; " + api.SessionCookie + "=" + session // its name at a Host without a port, as most here
	log := newAttackLog(t, "foreign pages", "tried, with the cookie of a superuser who is signed in", "answered")
	const write, read = "POST /api/v1/server/garbage-collection/run", "GET /api/v1/users"
	const form = "Content-Type: application/x-www-form-urlencoded"
	for _, try := range []struct {
		line, body, want string
		headers          []string
	}{
		{read, "", "403 forbidden", []string{"Host: rebound.example"}},
		{read, "", "403 forbidden", []string{"Host: rebound.example:8886"}},
		{read, "", "403 forbidden", []string{"Host: 127.0.0.1.rebound.example"}},
		{write, "", "403 forbidden", []string{"Host: rebound.example", "Origin: http://rebound.example", "Sec-Fetch-Site: same-origin"}},
		{"GET /healthz", "", "403 forbidden", []string{"Host: rebound.example"}},
		{"GET /", "", "403 forbidden", []string{"Host: rebound.example"}},
		{"POST /session", "", "403 forbidden", []string{"Host: rebound.example"}},
		{write, "", "403 forbidden", []string{"Origin: http://evil.example", "Sec-Fetch-Site: cross-site"}},
		{write, "", "403 forbidden", []string{"Origin: http://127.0.0.1:3000", "Sec-Fetch-Site: same-site"}},
		{write, "", "403 forbidden", []string{"Origin: http://evil.example"}},
		{write, "", "403 forbidden", []string{"Origin: null"}},
		{"POST /api/v1/command", `{"request":"garbageCollect"}`, "403 forbidden", []string{"Origin: http://evil.example", "Content-Type: text/plain"}},
		{"POST /api/v1/command", "request=garbageCollect", "403 forbidden", []string{"Sec-Fetch-Site: cross-site", form}},
		{"DELETE /session", "", "403 forbidden", []string{"Sec-Fetch-Site: cross-site"}},
		{"POST /session", `{"name":"root","password":"x"}`, "403 forbidden", []string{"Origin: http://evil.example", "Content-Type: application/json"}},
		{"OPTIONS /api/v1/users", "", "405 invalid", []string{"Origin: http://evil.example", "Access-Control-Request-Method: POST"}},
		{"POST /api/v1/command", `{"request":"garbageCollect"}`, "415 invalid", []string{"Content-Type: text/plain"}},
		{"POST /api/v1/command", "request=garbageCollect", "415 invalid", []string{form}},
		{"GET /api/v1/server/terminate", "", "405 invalid", nil},
		{"GET /api/v1/server/terminate", "", "405 invalid", []string{"X-HTTP-Method-Override: POST"}},
		{write, "", "200 success", []string{"Origin: http://127.0.0.1", "Sec-Fetch-Site: same-origin"}},
	} {
		shown := strings.Join(append([]string{try.line}, try.headers...), ", ")
		if try.body != "" {
			shown += ": " + try.body
		}
		log.tried(shown, l.rawly(try.line, try.body, append(try.headers, cookie)...), try.want)
	}
	// What another site may send, it may not read.
	res, _ := l.send("GET", "/api/v1/users", "", nil, "Cookie", strings.TrimPrefix(cookie, "Cookie: "), "Origin", "http://evil.example")
	for name := range res.Header {
		if strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("another site may read: %s: %s", name, res.Header.Get(name))
		}
	}
	log.row("`"+read+", Origin: http://evil.example`", fmt.Sprintf("%d, without any Access-Control header: the browser shows it to nobody", res.StatusCode))
	log.finish()
}

// hostilePaths are what stands for a path or an id where one wants out.
func hostilePaths() []string {
	return []string{"..", "../..", "../../etc/passwd", "/../../etc/passwd", "/etc/passwd", "./../x", "a/../../..", "..\\..\\x", "C:\\x", "//x", "a\x00b", "\xff\xfe",
		"%2e%2e%2f", "' OR 1=1 --", strings.Repeat("../", 100), strings.Repeat("x", 5000), "$(id)", "`id`", "-rf", "\r\nX: y"}
}

// hostile gives a parameter of c what leads out of where it belongs; all else is
// such that the command would be carried out.
func (p *pair) hostile(c *api.Command, parameter, text, manifest, destination string) map[string]any {
	params := c.ExampleParams()
	switch c.Name {
	case "createUser": // another one each time
		params = map[string]any{"name": "x" + api.NewID(), "password": "some-long-password"}
	case "updateUser":
		params = map[string]any{"name": "alice"}
	case "send.createTransfer":
		params = map[string]any{"manifestId": manifest, "destinationId": destination, "username": "bob", "password": p.to.password}
	}
	f, _ := c.Param(parameter)
	if f.Base64 {
		text = base64.StdEncoding.EncodeToString([]byte(text))
	}
	delete(params, f.Other)
	if f.Kind == api.KindMap {
		params[parameter] = map[string]any{text: text}
	} else {
		params[parameter] = text
	}
	return params
}

// TestTraversalInEveryParameter gives every parameter of every command that is
// a text, or a map of texts, what leads out of where it belongs, by REST and envelope.
func TestTraversalInEveryParameter(t *testing.T) {
	p := newPair(t)
	l := p.from
	base := filepath.Dir(l.files)
	secret := filepath.Join(base, "etc-passwd")
	if err := os.WriteFile(secret, []byte("root:x:0:0:outside"), 0o600); err != nil {
		t.Fatal(err)
	}
	manifest := p.manifest()
	nowhere := l.call("send.createDestination", map[string]any{"destinationAddress": "127.0.0.1", "destinationPort": 1})["destinationId"].(string)
	log := newAttackLog(t, "traversal", "command", "parameter", "answered, by REST and envelope")
	outside := func() map[string]string {
		files := tree(t, base)
		for name := range files {
			if strings.HasPrefix(name, "state/") || strings.HasPrefix(name, "files/") || name == filepath.Base(l.auditLog()) {
				delete(files, name)
			}
		}
		return files
	}
	before := outside()
	for _, c := range handlers.Commands(handlers.Deps{}).All() {
		user := "alice"
		if c.Access == api.AccessSuperuser {
			user = "root"
		}
		for _, f := range c.Params {
			if f.Kind != api.KindString && f.Kind != api.KindMap || f.Secret {
				continue
			}
			seen := statuses{}
			for _, text := range append(hostilePaths(), "../"+filepath.Base(secret), secret) {
				for way := range 2 {
					params := p.hostile(c, f.Name, text, manifest, nowhere)
					method, path, body := c.Method, restPath(c, params), restBody(c, params)
					if way == 1 {
						method, path, body = "POST", "/api/v1/command", map[string]any{"request": c.Name, "parameters": params}
					}
					res, answer := l.send(method, path, basic(user, l.password), body)
					seen[res.StatusCode] = true
					switch {
					case res.StatusCode >= 500, strings.Contains(string(answer), "root:x:0:0"):
						t.Errorf("%s %s=%q: %d %s", c.Name, f.Name, text, res.StatusCode, answer)
					case f.InPath && res.StatusCode < 400:
						t.Errorf("%s %s=%q: found something: %s", c.Name, f.Name, text, answer)
					}
				}
			}
			log.row("`"+c.Name+"`", "`"+f.Name+"`", seen.String())
		}
	}
	// What was asked for of manifests came to nothing: none has the file.
	for _, m := range l.call("send.getManifests", map[string]any{"limit": 1000})["manifests"].([]any) {
		id := m.(map[string]any)["manifestId"]
		l.call("send.waitForManifest", map[string]any{"manifestId": id})
		for _, f := range l.call("send.getManifestFiles", map[string]any{"manifestId": id})["files"].([]any) {
			if strings.Contains(fmt.Sprint(f), "passwd") {
				t.Errorf("a manifest holds %v", f)
			}
		}
	}
	if after := outside(); !reflect.DeepEqual(before, after) {
		t.Errorf("outside the sandbox there was %v, and is %v", before, after)
	}
	log.finish()
}

// TestTraversalInPages asks the pages for files that are none of theirs.
func TestTraversalInPages(t *testing.T) {
	l := newLive(t)
	l.start()
	log := newAttackLog(t, "pages", "tried without login", "answered")
	for _, path := range []string{
		"/../etc/passwd", "/static/../../etc/passwd", "/static/..%2f..%2fetc%2fpasswd", "/static/%2e%2e/web.go", "/static/..\\web.go", "/static//app.js",
		"/static/", "/static/app.js%00.html", "/docs/../../etc/passwd", "/docs/..%2fdocs.go", "/docs/%2e%2e/openapi.json.bak", "/docs//docs.js",
		"/openapi.json/..", "/healthz/../metrics", "/session/../metrics", "//metrics", "/metrics/", "/METRICS", "/.git/config", "/debug/pprof/", "/api/v1/../../metrics",
	} {
		got := l.rawly("GET "+path, "")
		if got != "404 notFound" && got != "404" && got != "401 unauthorized" {
			t.Errorf("GET %s: %s", path, got)
		}
		log.row("`GET "+path+"`", got)
	}
	// Every page, and what is none, comes with a policy that lets in nothing.
	for _, path := range []string{"/", "/static/app.js", "/static/nothing", "/docs", "/docs/", "/docs/docs.js", "/docs/tryit.js", "/docs/nothing"} {
		res, body := l.send("GET", path, "", nil)
		policy := res.Header.Get("Content-Security-Policy")
		strict := strings.Contains(policy, "default-src 'none'") && strings.Contains(policy, "script-src 'self'") && strings.Contains(policy, "frame-ancestors 'none'") &&
			!strings.Contains(policy, "unsafe") && !strings.Contains(policy, "*")
		if !strict || res.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: policy %q, headers %v", path, policy, res.Header)
		}
		log.row("`GET "+path+"`", answered(res, body)+", `Content-Security-Policy: default-src 'none'; script-src 'self'` ...")
	}
	for _, path := range []string{"/openapi.json", "/healthz", "/api/v1/server", "/nothing"} {
		res, body := l.send("GET", path, "", nil)
		kind, _, _ := strings.Cut(res.Header.Get("Content-Type"), ";")
		if res.Header.Get("X-Content-Type-Options") != "nosniff" || kind != "application/json" && kind != "text/plain" {
			t.Errorf("%s: %v", path, res.Header)
		}
		log.row("`GET "+path+"`", answered(res, body)+", "+kind+", nosniff: no browser makes a page of it")
	}
	log.finish()
}

// TestOversizedAndAmbiguousRequestsAreRefused sends what is too large or means two things.
func TestOversizedAndAmbiguousRequestsAreRefused(t *testing.T) {
	l := newLive(t)
	l.start()
	root := "Authorization: " + basic("root", l.password)
	const json, envelope = "Content-Type: application/json", "POST /api/v1/command"
	log := newAttackLog(t, "bounds", "tried", "answered")
	for _, try := range []struct {
		what, line, body, want string
		headers                []string
	}{
		{"a body of 16 MiB and one byte", envelope, strings.Repeat(" ", 16<<20+1), "413 tooLarge", []string{root, json}},
		{"the same as a stranger, who need not be read", envelope, strings.Repeat(" ", 1<<20), "401 unauthorized", []string{json}},
		{"headers of 70 KiB", "GET /healthz", "", "431", []string{"X: " + strings.Repeat("x", 70<<10)}},
		{"an address of 70 KiB", "GET /api/v1/users?cursor=" + strings.Repeat("x", 70<<10), "", "431", []string{root}},
		{"10,000 levels of JSON", envelope, `{"request":"ls","parameters":{"path":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + `}}`, "400 invalid", []string{root, json}},
		{"100,000 unknown parameters", envelope, `{"request":"ls","parameters":{` + manyMembers(100_000) + `"x":1}}`, "400 invalid", []string{root, json}},
		{"a parameter named twice", envelope, `{"request":"ls","parameters":{"path":"/","path":"/x"}}`, "400 invalid", []string{root, json}},
		{"the command named twice", envelope, `{"request":"ls","request":"rm"}`, "400 invalid", []string{root, json}},
		{"a body beside GET", "GET /api/v1/users", `{"limit":1}`, "400 invalid", []string{root, json}},
		{"a compressed body", envelope, "\x1f\x8b\x08\x00", "415 invalid", []string{root, json, "Content-Encoding: gzip"}},
		{"two lengths", envelope, `{}`, "400", []string{root, json, "Content-Length: 2", "Content-Length: 3"}},
		{"a negative length", envelope, `{}`, "400", []string{root, json, "Content-Length: -2"}},
		{"a length and chunks, of which the chunks count", envelope, "0\r\n\r\n", "400 invalid", []string{root, json, "Content-Length: 5", "Transfer-Encoding: chunked"}},
		{"an unknown transfer encoding", envelope, "{}", "501", []string{root, json, "Transfer-Encoding: gzip, chunked"}},
		{"chunks that lie", envelope, "FFFFFFFFFFFFFFFFF\r\n{}", "400 invalid", []string{root, json, "Transfer-Encoding: chunked"}},
		{"two hosts", "GET /healthz", "", "400", []string{"Host: 127.0.0.1", "Host: evil.example"}},
		{"a password in the address", "GET /api/v1/users/alice?password=hush-hush-hush", "", "400 invalid", []string{root}},
		{"bytes that are no UTF-8", envelope, "{\"request\":\"ls\",\"parameters\":{\"path\":\"/\xff\"}}", "400 invalid", []string{root, json}},
		{"half a character", envelope, `{"request":"ls","parameters":{"path":"/\ud83d"}}`, "400 invalid", []string{root, json}},
		{"a login of 17 KiB on the page", "POST /session", `{"name":"` + strings.Repeat("x", 17<<10) + `"}`, "413 tooLarge", []string{json}},
		{"two logins, of which one is right", "GET /api/v1/users", "", "401 unauthorized", []string{root, "Authorization: Basic !!!"}},
		{"a login of another kind", "GET /api/v1/users", "", "401 unauthorized", []string{"Authorization: Negotiate abc"}},
		{"no base64", "GET /api/v1/users", "", "401 unauthorized", []string{"Authorization: Basic !!!"}},
		{"an empty token", "GET /api/v1/users", "", "401 unauthorized", []string{"Authorization: Bearer "}},
		{"a token as a password", "GET /api/v1/users", "", "401 unauthorized", []string{"Authorization: " + basic("root", l.token("root", "/", "admin"))}},
		{"a common user who says to be root", "GET /api/v1/users", "", "403 forbidden", []string{"Authorization: " + basic("alice", l.password), "X-JetStream-User: root"}},
		{"a token that says so", "GET /api/v1/users", "", "401 unauthorized", []string{"Authorization: Bearer " + l.token("alice", "/", "read"), "X-JetStream-User: root"}},
		{"an address that says to be a command of everybody", "GET /api/v1/server/../users", "", "401 unauthorized", nil},
	} {
		line := try.line
		if len(line) > 100 {
			line = line[:60] + "..."
		}
		got := l.rawly(try.line, try.body, try.headers...)
		if got != try.want {
			t.Errorf("%s: answered %s, want %s", try.what, got, try.want)
		}
		log.row(try.what+", `"+line+"`", got)
	}
	if status, _ := l.rest("root", "GET", "/api/v1/users", nil); status != 200 {
		t.Errorf("after all that: %d", status)
	}
	l.secret("hush-hush-hush")
	log.finish()
}

func manyMembers(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"p%d":1,`, i)
	}
	return b.String()
}

// TestGuessingIsSlowed over all ways of logging in together, whatever address a client makes
// up, and without harm to whoever is in.
func TestGuessingIsSlowed(t *testing.T) {
	l := newLive(t)
	l.start()
	log := newAttackLog(t, "guessing", "tried", "answered")
	if status, _ := l.rest("alice", "GET", "/api/v1/tokens", nil); status != 200 {
		t.Fatal("alice is not in")
	}
	first, last, retry := "", "", ""
	guesses := 0
	for i := range 60 {
		address := fmt.Sprintf("198.51.100.%d", i)
		var res *http.Response
		var body []byte
		if i%2 == 0 {
			res, body = l.send("GET", "/api/v1/tokens", basic("alice", fmt.Sprint("guess-", i)), nil, "X-Forwarded-For", address, "Forwarded", "for="+address, "X-Real-Ip", address)
		} else {
			res, body = l.send("POST", "/session", "", map[string]any{"name": "ALICE", "password": fmt.Sprint("guess-", i)}, "X-Forwarded-For", address)
		}
		if last = answered(res, body); first == "" {
			first = last
		}
		if retry = res.Header.Get("Retry-After"); retry != "" {
			guesses = i
			break
		}
	}
	if first != "401 unauthorized" || last != "429 tooManyRequests" || guesses < 10 || guesses > 30 {
		t.Errorf("%d guesses: first %s, last %s, Retry-After %q", guesses, first, last, retry)
	}
	log.row("10 wrong passwords of alice (a few more when guessed slowly), in turns by HTTP Basic and `POST /session`, each with another `X-Forwarded-For`", first)
	log.row("one more", last+" with Retry-After")
	status, _ := l.rest("alice", "GET", "/api/v1/tokens", nil)
	log.tried("alice herself, who was in before", fmt.Sprint(status), "200")
	status, _ = l.rest("root", "GET", "/api/v1/tokens", nil)
	log.tried("another user from the same address", fmt.Sprint(status), "200")
	res, body := l.send("GET", "/api/v1/tokens", "Bearer "+strings.Repeat("x", 60), nil)
	log.tried("a made-up token from that address: 256 random bits are not guessed", answered(res, body), "401 unauthorized")
	log.finish()
}

// TestSettingsAreFrozen: what decides about safety is read once, at the start.
// Neither the environment nor a renewed certificate nor any command changes it.
func TestSettingsAreFrozen(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	servertest.WriteCertificate(t, cert, key, "site-a.example")
	l := newLive(t)
	l.script("on.getUsers", "#!/bin/sh\n")
	l.start("--trigger-dir="+l.triggers, "--api-allowed-host=site-a.example")
	before := l.callAs("root", "getServerInfo", nil)
	log := newAttackLog(t, "frozen", "tried", "and then")

	elsewhere := filepath.Join(dir, "scripts")
	for name, value := range map[string]string{"API_ALLOWED_HOST": "rebound.example", "TRIGGER_DIR": elsewhere, "TRIGGER_ON_API": "true",
		"ALLOW_PLAINTEXT": "true", "SANDBOX_DIR": "/", "TLS_CERT": cert, "TLS_KEY": key, "TRIGGER_ENV": "SECRET"} {
		t.Setenv("JETSTREAM_SERVER_"+name, value)
	}
	log.tried("JETSTREAM_SERVER_API_ALLOWED_HOST=rebound.example beside the running server: GET /healthz, Host: rebound.example",
		l.rawly("GET /healthz", "", "Host: rebound.example"), "403 forbidden")
	after := l.callAs("root", "getServerInfo", nil)
	if !reflect.DeepEqual(before, after) {
		t.Errorf("getServerInfo was %v and is %v", before, after)
	}
	l.callAs("root", "getUsers", nil)
	if runs := l.runsOf("on.getUsers"); len(runs) != 0 {
		t.Errorf("TRIGGER_ON_API took effect: %v", runs)
	}
	log.row("`JETSTREAM_SERVER_TRIGGER_ON_API`, `_TRIGGER_DIR`, `_SANDBOX_DIR`, `_TLS_CERT` ... likewise: `getServerInfo`, `getUsers`", "the same as before; no script runs")

	// No parameter of a command is a flag of the server, but for the limits of
	// bandwidth: where flags give them, the command is refused.
	var names []string
	for f := range reflect.TypeFor[serverCmd]().Fields() {
		names = append(names, strings.ToLower(f.Name))
	}
	for _, c := range handlers.Commands(handlers.Deps{}).All() {
		for _, p := range c.Params {
			if c.Name != "updateBandwidthLimits" && slices.Contains(names, strings.ToLower(p.Name)) {
				t.Errorf("%s changes the server's --%s", c.Name, p.Name)
			}
		}
	}
	log.row("every parameter of every command beside every flag of `jetstream server`", "none is the other, but for the limits of bandwidth, which the flags fix")
	root := basic("root", l.password)
	for _, path := range []string{"/api/v1/server", "/api/v1/server/settings", "/api/v1/triggers", "/api/v1/triggers/launch"} {
		for _, method := range []string{"PATCH", "PUT", "POST"} {
			res, body := l.send(method, path, root, map[string]any{"triggerDir": elsewhere, "allowedHosts": []string{"rebound.example"}, "authRequired": false})
			if res.StatusCode != 404 && res.StatusCode != 405 {
				t.Errorf("%s %s: %s", method, path, answered(res, body))
			}
		}
	}
	log.row("`PATCH`, `PUT`, `POST` of `/api/v1/server`, `/server/settings`, `/triggers`, `/triggers/launch` as a superuser", "404, 405")
	log.finish()
}
