//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"jetstream/gateway"
	"jetstream/handlers"
	"jetstream/internal/api"
)

const examplesFile = "../../openapi/examples.json"

// recording collects replies as examples of the document: as they came, but
// for what differs from run to run, which it replaces by what might be there.
type recording struct {
	Commands map[string]recordedReply `json:"commands"`
	Failures map[string]any           `json:"failures"`

	committed *recording
	varies    map[string][]string
}

type recordedReply struct {
	Status int `json:"status"`
	Reply  any `json:"reply"`
}

func newRecording(t *testing.T) *recording {
	t.Helper()
	r := &recording{Commands: map[string]recordedReply{}, Failures: map[string]any{}, committed: &recording{}, varies: map[string][]string{}}
	text, err := os.ReadFile(examplesFile)
	if err == nil {
		err = json.Unmarshal(text, r.committed)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// success records the reply of a command that was carried out.
func (r *recording) success(t *testing.T, p *pair, c *api.Command, x exchange, varies []string) {
	t.Helper()
	r.varies[c.Name] = varies
	r.Commands[c.Name] = recordedReply{x.status, stable(t, p, x.body)}
}

// failures makes one real failure of each kind and records the replies.
func (r *recording) failures(t *testing.T, p *pair, c contract) {
	t.Helper()
	registry := handlers.Commands(handlers.Deps{})
	try := func(name, user, command string, params map[string]any) {
		t.Helper()
		found, _ := registry.Find(command)
		r.failed(t, p, name, c.sendCommand(p.from, user, found, params))
	}
	try("invalid", "alice", "send.createDestination", map[string]any{"destinationAddress": "site-b", "destinationPort": 70000})
	try("unauthorized", "", "send.getTransfers", map[string]any{})
	try("forbidden", "alice", "getUsers", map[string]any{})
	try("notFound", "alice", "send.getTransfer", map[string]any{"transferId": api.ExampleID})
	d := p.from.call("send.createDestination", map[string]any{"destinationAddress": "127.0.0.1", "destinationPort": 1})
	p.from.call("send.createTransfer", map[string]any{
		"manifestId": p.manifest(), "destinationId": d["destinationId"], "username": "bob", "password": testPassword})
	try("conflict", "alice", "send.deleteDestination", map[string]any{"destinationId": d["destinationId"]})

	const path = "/api/v1/command"
	r.failed(t, p, "badContentType", c.send(p.from, "alice", "POST", path, path, "text/plain", []byte(`{"request": "getServerInfo"}`)))
	r.failed(t, p, "tooLarge", c.send(p.from, "alice", "POST", path, path, "application/json", bytes.Repeat([]byte(" "), 16<<20+1)))
	for range 50 {
		x := c.send(p.from, "", "POST", "/session", "/session", "application/json", []byte(`{"name": "mallory", "password": "guess"}`))
		if x.status == 429 {
			r.failed(t, p, "tooManyRequests", x)
			break
		}
		x.holds(t)
	}
	r.broken(t, p, c)
}

// failed holds a failure against the document and records it. Its name is the
// code, or the name of the component where one code has two.
func (r *recording) failed(t *testing.T, p *pair, name string, x exchange) {
	t.Helper()
	x.holds(t)
	if string(x.reply.Status) != name && name != "badContentType" {
		t.Errorf("%s: %d %s, want %s", x.sent, x.status, x.body, name)
	}
	r.Failures[name] = stable(t, p, x.body)
}

// broken records what callers see of faults that a sound server does not show,
// from the same gateway with commands that break.
func (r *recording) broken(t *testing.T, p *pair, c contract) {
	t.Helper()
	breaks := map[string]func() error{
		"internal":    func() error { panic("a fault of ours") },
		"timeout":     func() error { return context.DeadlineExceeded },
		"unavailable": func() error { return context.Canceled },
	}
	for name, fault := range breaks {
		command := api.Define(api.Spec{Name: "getServerInfo", Method: "GET", Path: "/server", Summary: "Break", Access: api.AccessPublic},
			func(context.Context, api.Empty) (api.Empty, error) { return api.Empty{}, errors.Join(fault()) })
		gw := gateway.New(gateway.Options{Registry: api.NewRegistry(command), Log: slog.New(slog.DiscardHandler)})
		w := httptest.NewRecorder()
		gw.ServeHTTP(w, httptest.NewRequest("GET", "http://localhost/api/v1/server", nil))
		reply := object(t, w.Body.Bytes())
		if reply["status"] != name || w.Code != api.Code(name).HTTPStatus() {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
		r.Failures[name] = stable(t, p, w.Body.Bytes())
		schema := c.doc.Components.Responses[name].Value.Content["application/json"].Schema.Value
		if err := schema.VisitJSON(reply); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// finish compares with what is committed, or writes it anew.
func (r *recording) finish(t *testing.T) {
	t.Helper()
	if t.Failed() {
		return
	}
	var stale []string
	for name, fresh := range r.Commands {
		committed, known := r.committed.Commands[name]
		before, now := unvaried(committed.Reply, r.varies[name]), unvaried(fresh.Reply, r.varies[name])
		switch diff := cmp.Diff(before, now); {
		case !known:
			stale = append(stale, "the reply of "+name+" is missing")
		case committed.Status != fresh.Status || diff != "":
			stale = append(stale, fmt.Sprintf("%s: HTTP status %d, now %d (-committed +now):\n%s%s",
				name, committed.Status, fresh.Status, diff, variesCure(name, differing(before, now))))
		default:
			r.Commands[name] = committed // what varies stays as it was
		}
	}
	for name, fresh := range r.Failures {
		if diff := cmp.Diff(unvaried(r.committed.Failures[name], nil), unvaried(fresh, nil)); diff != "" {
			stale = append(stale, name+" (-committed +now):\n"+diff)
		}
	}
	for name := range r.committed.Commands {
		if _, still := r.Commands[name]; !still {
			stale = append(stale, name+" is gone")
		}
	}
	if len(stale) == 0 {
		return
	}
	if !*update {
		t.Fatalf("openapi/examples.json is stale: run `make generate`\n%s", strings.Join(stale, "\n"))
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(r)
	if err == nil {
		err = os.WriteFile(examplesFile, text.Bytes(), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// unsteady are fields whose value is another at each run wherever they stand.
var unsteady = []string{"rate", "revision", "message", "durationMs", "cpuMs", "waiting", "nextCursor", "eta"}

// unvaried leaves out what no two runs share.
func unvaried(v any, varies []string) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, value := range v {
			if !slices.Contains(unsteady, key) && !slices.Contains(varies, key) {
				out[key] = unvaried(value, varies)
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = unvaried(v[i], varies)
		}
		return out
	}
	return v
}

// stable replaces what differs from run to run by what might be there: ids,
// times, ports, keys and the paths of this test.
func stable(t *testing.T, p *pair, body []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatal(err)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	s := stabilizer{ids: map[string]string{}, host: host, paths: map[string]string{}}
	for _, l := range []*live{p.from, p.to} {
		s.paths[l.state], s.paths[l.triggers], s.paths[l.files] = "/var/lib/jetstream/state", "/var/lib/jetstream/triggers", "/srv/media"
		s.paths[filepath.Dir(l.state)] = "/var/lib/jetstream"
	}
	return s.stable("", v)
}

type stabilizer struct {
	ids   map[string]string
	host  string
	paths map[string]string
}

// exampleEpoch is the moment at which all examples happen, in microseconds.
const exampleEpoch = 1_764_000_000_000_000

var (
	anyID   = regexp.MustCompile(`\b[0-9a-f]{32}\b`)
	anyKey  = regexp.MustCompile(`(^|[^\w-])[A-Za-z0-9_-]{43}($|[^\w-])`)
	anyPort = regexp.MustCompile(`\b127\.0\.0\.1:\d+\b`)
)

func (s stabilizer) stable(key string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			v[name] = s.stable(name, v[name])
		}
	case []any:
		const enough = 2
		v = v[:min(len(v), enough)]
		for i := range v {
			v[i] = s.stable(key, v[i])
		}
		return v
	case float64:
		return s.number(key, v)
	case string:
		return s.text(key, v)
	}
	return v
}

// number replaces times by their names, so that they stand in order.
func (s stabilizer) number(key string, v float64) any {
	ports := map[string]float64{"apiControlPort": 8886, "recvPort": 8887, "destinationPort": 8887, "sourcePort": 49152}
	order := []string{"createTime", "created", "queuedTime", "startTime", "updateTime", "endTime", "expiryTime"}
	switch port, is := ports[key]; {
	case is && v > 0:
		return port
	case v > 1e15:
		return float64(exampleEpoch + 250_000*max(0, slices.Index(order, key)))
	case slices.Contains(unsteady, key):
		return math.Trunc(v)
	}
	return v
}

func (s stabilizer) text(key, v string) string {
	if key == "hostName" || key == "serverName" {
		return "site-a"
	}
	// The longest first: one lies in the other.
	for _, path := range slices.SortedFunc(maps.Keys(s.paths), func(a, b string) int { return len(b) - len(a) }) {
		v = strings.ReplaceAll(v, path, s.paths[path])
	}
	v = anyID.ReplaceAllStringFunc(v, func(id string) string {
		if _, known := s.ids[id]; !known {
			const digits = "0123456789abcdef"
			n := len(s.ids)
			s.ids[id] = api.ExampleID[:30] + string([]byte{digits[n/16%16], digits[n%16]})
		}
		return s.ids[id]
	})
	v = anyKey.ReplaceAllString(v, "${1}p7Lq0mB3xWc9tYd2VnRk5uEaZs8hGf1iJo4lQeXw6Cw${2}")
	v = anyPort.ReplaceAllString(v, "192.0.2.20:8887")
	return strings.ReplaceAll(v, "127.0.0.1", "192.0.2.20")
}
