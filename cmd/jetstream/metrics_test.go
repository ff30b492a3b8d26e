//go:build unix

package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// get reads a page beside the commands as a user; empty: without login.
func (l *live) get(user, path string) (int, string) {
	l.t.Helper()
	req, err := http.NewRequestWithContext(l.t.Context(), http.MethodGet, l.baseURL+path, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	if user != "" {
		req.SetBasicAuth(user, l.password)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		l.t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// Metrics and the facts of the health are for superusers; the word is for all.
func TestWhoSeesTheInside(t *testing.T) {
	l := newLive(t)
	l.start("--trigger-dir=" + l.triggers)
	for _, path := range []string{"/metrics", "/healthz?verbose"} {
		for user, want := range map[string]int{"": 401, "alice": 403, "root": 200} {
			if got, _ := l.get(user, path); got != want {
				t.Errorf("%s as %q answered %d, want %d", path, user, got, want)
			}
		}
	}
	if status, text := l.get("", "/healthz"); status != 200 || text != "ok\n" {
		t.Errorf("/healthz: %d %q", status, text)
	}
}

func TestMetricsTellWhatHappened(t *testing.T) {
	l := newLive(t)
	l.script("launch", "#!/bin/sh\nexit 3\n")
	l.start("--trigger-dir="+l.triggers, "--trigger-log")
	l.awaitRuns("launch", 1)
	l.call("getServerInfo", nil)
	l.rest("alice", "GET", "/api/v1/no/such/thing", nil)
	_, text := l.get("root", "/metrics")
	for _, want := range []string{
		`jetstream_trigger_runs_total{event="launch",result="failed"} 1`, "jetstream_trigger_run_seconds_count 1",
		`jetstream_api_requests_total{command="getServerInfo",status="success"} 1`, "jetstream_api_request_seconds_count 1",
		"jetstream_trigger_queue_length 0", "jetstream_trigger_queue_oldest_seconds 0", `jetstream_trigger_dropped_total{reason="full"} 0`,
		"jetstream_event_streams 0", `jetstream_transfer_bytes{direction="send"} 0`, "go_goroutines ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %q in:\n%s", want, text)
		}
	}
	if strings.Contains(text, "such") {
		t.Error("what a caller makes up has become a label")
	}
}

// While events are dropped the server is red, in a word and in full.
func TestDropsTurnHealthRed(t *testing.T) {
	l := newLive(t)
	wait, open := gate(t)
	l.script("on.getServerInfo", "#!/bin/sh\n"+wait[strings.Index(wait, "read line"):])
	l.start("--trigger-dir="+l.triggers, "--trigger-on-api", "--trigger-queue-max=1", "--trigger-log")
	defer open()
	l.call("getServerInfo", nil)
	l.awaitLog(`"msg":"trigger started"`, 1)
	for range 3 {
		l.call("getServerInfo", nil)
	}
	if status, text := l.get("", "/healthz"); status != 503 || text != "out of order\n" {
		t.Errorf("/healthz: %d %q", status, text)
	}
	status, text := l.get("root", "/healthz?verbose")
	var reply struct{ Result healthFacts }
	if err := json.Unmarshal([]byte(text), &reply); err != nil {
		t.Fatal(err)
	}
	f := reply.Result
	if status != 503 || len(f.Faults) != 1 || f.Triggers.Dropped["full"] != 2 || f.Triggers.Waiting != 1 ||
		len(f.Triggers.Running) != 1 || f.Triggers.OldestWaiting == 0 || f.Database != "ok" {
		t.Errorf("%d %s", status, text)
	}
	if _, text := l.get("root", "/metrics"); !strings.Contains(text, `jetstream_trigger_dropped_total{reason="full"} 2`) {
		t.Errorf("the drops are not counted in:\n%s", text)
	}
}
