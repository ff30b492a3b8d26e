//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"jetstream/handlers"
	"jetstream/internal/api"
	"jetstream/internal/server"
	"jetstream/internal/transfer"
	"jetstream/triggers"
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
func TestMetricsAndVerboseHealthNeedAdmin(t *testing.T) {
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

func TestMetricsCountWhatHappened(t *testing.T) {
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
		"jetstream_event_streams 0", `jetstream_transfer_bytes_total{direction="send"} 0`, "go_goroutines ",
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
	var reply struct{ Result server.Health }
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

// TestMetricsFollowTheConventions reads the metrics as Prometheus does, after
// transfers, scripts and callers who make names up: names and types are in
// order, and every label has one of the values that the code knows.
func TestMetricsFollowTheConventions(t *testing.T) {
	p := newPair(t, "--trigger-on-api", "--trigger-log")
	p.from.script("send.transferComplete", "#!/bin/sh\n")
	p.from.script("on.made.up", "#!/bin/sh\n")
	p.transfer()
	p.from.awaitRuns("send.transferComplete", 1)
	p.from.rest("alice", "GET", "/api/v1/made/up", nil)
	p.from.rest("alice", "POST", "/api/v1/command", map[string]any{"request": "made.up", "parameters": map[string]any{}})
	p.from.rest("alice", "GET", "/api/v1/send/transfers/"+strings.Repeat("0", 32), nil)
	const bytes = "alpha" + "gamma"
	for l, direction := range map[*live]string{p.from: "send", p.to: "recv"} {
		_, text := l.get("root", "/metrics")
		problems, err := promlint.New(strings.NewReader(text)).Lint()
		if err != nil {
			t.Fatalf("%v in:\n%s", err, text)
		}
		for _, each := range problems {
			t.Errorf("%s: %s", each.Metric, each.Text)
		}
		if want := fmt.Sprintf("jetstream_transfer_bytes_total{direction=%q} %d\n", direction, len(bytes)); !strings.Contains(text, want) {
			t.Errorf("there is no %q in:\n%s", want, text)
		}
		checkMetrics(t, text)
		if l == p.from { // the other has processed no command
			checkMetricsPage(t, text)
		}
	}
}

// checkMetricsPage compares the metrics with those that docs/monitoring.md lists.
func checkMetricsPage(t *testing.T, text string) {
	t.Helper()
	names := func(pattern, text string) (found []string) {
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
			found = append(found, m[1])
		}
		slices.Sort(found)
		return found
	}
	documented := names("(?m)^\\| `(jetstream_\\w+)`", read(t, "../../docs/monitoring.md"))
	documented = slices.DeleteFunc(documented, func(name string) bool { return name == "jetstream_tls_certificate_expiry_timestamp_seconds" }) // without TLS there is none
	if got := names(`(?m)^# TYPE (jetstream_\w+)`, text); !slices.Equal(got, documented) {
		t.Errorf("the metrics are\n%v, but docs/monitoring.md lists\n%v", got, documented)
	}
}

// checkMetrics looks at types and labels of our own metrics.
func checkMetrics(t *testing.T, text string) {
	t.Helper()
	known := map[string][]string{
		"direction": {"send", "recv"},
		"reason":    {string(triggers.DropLoop), string(triggers.DropFull), string(triggers.DropUnsaved)},
		"event":     append(server.EventNames(), "other"),
		"le":        nil, // bounds of buckets
		// Those of jetstream_build_info.
		"version": {version}, "revision": {revision()}, "goversion": {runtime.Version()},
	}
	for _, s := range []triggers.Status{triggers.StatusSuccess, triggers.StatusFailed, triggers.StatusTimeout, triggers.StatusCancelled, triggers.StatusInterrupted} {
		known["result"] = append(known["result"], string(s))
	}
	for _, s := range []transfer.Status{
		transfer.StatusPending, transfer.StatusActive, transfer.StatusSuspended, transfer.StatusCancelled,
		transfer.StatusComplete, transfer.StatusError, transfer.StatusReceiving,
	} {
		known["status"] = append(known["status"], string(s))
	}
	for _, code := range []api.Code{
		api.CodeSuccess, api.CodeInvalid, api.CodeUnauthorized, api.CodeForbidden, api.CodeNotFound, api.CodeConflict,
		api.CodeTooLarge, api.CodeTooManyRequests, api.CodeInternal, api.CodeUnavailable, api.CodeTimeout,
	} {
		known["status"] = append(known["status"], string(code))
	}
	known["command"] = handlers.Commands(handlers.Deps{}).Names()
	label := regexp.MustCompile(`([a-z_]+)="([^"]*)"`)
	for line := range strings.Lines(text) {
		if name, kind, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "# TYPE jetstream_"), " "); ok && strings.HasPrefix(line, "# TYPE jetstream_") {
			if (kind == "counter") != strings.HasSuffix(name, "_total") {
				t.Errorf("jetstream_%s is a %s", name, kind)
			}
		}
		if !strings.HasPrefix(line, "jetstream_") {
			continue
		}
		for _, l := range label.FindAllStringSubmatch(line, -1) {
			values, ok := known[l[1]]
			if !ok || values != nil && !slices.Contains(values, l[2]) {
				t.Errorf("a label has a value that is not known beforehand: %s", line)
			}
		}
	}
}
