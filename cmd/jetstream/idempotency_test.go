//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"jetstream/internal/api"
)

// TestIdempotencyKey: a creation that is repeated gives the first answer and
// makes nothing twice, by REST and envelope and a restart.
func TestIdempotencyKey(t *testing.T) {
	l := newLive(t)
	l.script("on.send.createManifest", "#!/bin/sh\nexit 0\n")
	flags := []string{"--trigger-dir=" + l.triggers, "--trigger-on-api"}
	l.start(flags...)
	params := map[string]any{"fileMappings": map[string]any{"/a": "/b", "/c": "/d"}, "userData": map[string]any{"n": "1"}}
	alice := basic("alice", testPassword)
	create := func(key, who string, params map[string]any) (*http.Response, []byte) {
		t.Helper()
		return l.send("POST", "/api/v1/send/manifests", who, params, api.IdempotencyHeader, key)
	}
	first, answer := create("k-1", alice, params)
	if first.StatusCode != 201 || first.Header.Get(api.ReplayedHeader) != "" {
		t.Fatalf("the first: %d %s", first.StatusCode, answer)
	}
	repeat := func(when string) {
		t.Helper()
		res, body := create("k-1", alice, params)
		if res.StatusCode != 201 || !bytes.Equal(body, answer) || res.Header.Get("Location") != first.Header.Get("Location") || res.Header.Get(api.ReplayedHeader) != "true" {
			t.Errorf("%s: %d %s, first %s", when, res.StatusCode, body, answer)
		}
		res, body = l.send("POST", "/api/v1/command", alice,
			map[string]any{"request": "send.createManifest", "parameters": params}, api.IdempotencyHeader, "k-1")
		if res.StatusCode != 201 || !bytes.Equal(body, answer) {
			t.Errorf("%s, by the envelope: %d %s", when, res.StatusCode, body)
		}
	}
	repeat("at once")

	if res, body := create("k-1", alice, map[string]any{"fileMappings": map[string]any{"/a": "/z"}}); res.StatusCode != 409 {
		t.Errorf("another body: %d %s", res.StatusCode, body)
	}
	if res, body := l.send("POST", "/api/v1/send/destinations", alice, map[string]any{"destinationAddress": "127.0.0.1"}, api.IdempotencyHeader, "k-1"); res.StatusCode != 409 {
		t.Errorf("another command: %d %s", res.StatusCode, body)
	}
	if res, body := create("k-1", basic("root", testPassword), params); res.StatusCode != 201 || bytes.Equal(body, answer) {
		t.Errorf("another user's key: %d %s", res.StatusCode, body)
	}
	if res, body := create("k-1", basic("root", "a-wrong-guess"), params); res.StatusCode != 401 {
		t.Errorf("a wrong password: %d %s", res.StatusCode, body)
	}
	// A failure is not kept.
	if res, body := create("k-2", alice, map[string]any{"fileMappings": map[string]any{}}); res.StatusCode != 400 {
		t.Errorf("invalid: %d %s", res.StatusCode, body)
	}
	if res, body := create("k-2", alice, params); res.StatusCode != 201 || bytes.Equal(body, answer) {
		t.Errorf("after a failure: %d %s", res.StatusCode, body)
	}
	for _, key := range []string{"", " ", "a b", "ü", strings.Repeat("k", 256)} {
		if res, body := create(key, alice, params); res.StatusCode != 400 {
			t.Errorf("key %q: %d %s", key, res.StatusCode, body)
		}
	}
	for command, params := range map[string]map[string]any{"createAPIToken": {}, "getServerInfo": {}} {
		if res, body := l.send("POST", "/api/v1/command", alice, map[string]any{"request": command, "parameters": params}, api.IdempotencyHeader, "k-3"); res.StatusCode != 400 {
			t.Errorf("%s: %d %s", command, res.StatusCode, body)
		}
	}

	l.stop()
	l.start(flags...)
	repeat("after a restart")
	// The script ran for alice's two and root's one, and for the failures:
	// another body, invalid and bad keys are none (but invalid is a command).
	runs := l.callAs("root", "getTriggerRuns", map[string]any{"event": "on.send.createManifest"})["runs"].([]any)
	if len(runs) != 4 {
		t.Errorf("on.send.createManifest ran %d times, want 4: two of alice, one of root, one invalid", len(runs))
	}

	// The answer of one who is removed is not for another of that name.
	l.callAs("root", "deleteUser", map[string]any{"name": "alice", "force": true})
	l.callAs("root", "createUser", map[string]any{"name": "alice", "password": testPassword})
	if res, body := create("k-1", alice, params); res.StatusCode != 201 || bytes.Equal(body, answer) {
		t.Errorf("a new user of the same name: %d %s", res.StatusCode, body)
	}
}

// TestIdempotencyKeyAtTheSameTime: of calls at the same time one makes
// something; the others get its answer, or are told to wait for it.
func TestIdempotencyKeyAtTheSameTime(t *testing.T) {
	l := newLive(t)
	l.start()
	const calls = 24
	type outcome struct {
		status int
		id     string
	}
	outcomes := make([]outcome, calls)
	var wg sync.WaitGroup
	for i := range calls {
		wg.Go(func() {
			status, reply := l.rest("alice", "POST", "/api/v1/send/destinations",
				map[string]any{"destinationAddress": "127.0.0.1", "destinationPort": 4242}, api.IdempotencyHeader, "same")
			var result struct{ DestinationID string }
			if err := json.Unmarshal(reply.Result, &result); err != nil {
				t.Error(err)
			}
			outcomes[i] = outcome{status, result.DestinationID}
		})
	}
	wg.Wait()
	id := ""
	for _, o := range outcomes {
		switch {
		case o.status == 409 && o.id == "":
		case o.status == 201 && (id == "" || id == o.id): // never 200: that would be a second creation
			id = o.id
		default:
			t.Errorf("%+v beside %s", o, id)
		}
	}
	if id == "" {
		t.Error("none made anything")
	}
}

// TestIdempotencyKeyOnTheCommandLine: the key is a flag of the connection.
func TestIdempotencyKeyOnTheCommandLine(t *testing.T) {
	l := newLive(t)
	l.start()
	env := map[string]string{"JETSTREAM_API_HOST": l.host, "JETSTREAM_API_PORT": strconv.Itoa(l.apiPort),
		"JETSTREAM_API_USER": "alice", "JETSTREAM_API_PASSWORD": testPassword}
	call := func(args ...string) (int, string, string) {
		var out, errs bytes.Buffer
		code := run(t.Context(), append([]string{"api"}, args...), func(k string) string { return env[k] }, strings.NewReader(""), &out, &errs)
		return code, out.String(), errs.String()
	}
	args := []string{"--idempotency-key", "nightly-7", "createManifest", "--fileMappings", "/a:/b"}
	code, first, stderr := call(args...)
	if code != 0 {
		t.Fatalf("%d %s", code, stderr)
	}
	if code, second, stderr := call(args...); code != 0 || second != first {
		t.Errorf("again: %d %s %s, first %s", code, second, stderr, first)
	}
	if code, _, stderr := call("--idempotency-key", "nightly-7", "createManifest", "--fileMappings", "/a:/c"); code != 1 || !strings.Contains(stderr, "Idempotency-Key") {
		t.Errorf("other parameters: %d %s", code, stderr)
	}
	if code, second, stderr := call("createManifest", "--idempotency-key=nightly-7", "--fileMappings", "/a:/b"); code != 0 || second != first {
		t.Errorf("after the command: %d %s %s, first %s", code, second, stderr, first)
	}
}
