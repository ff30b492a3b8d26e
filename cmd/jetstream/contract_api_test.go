//go:build unix

package main

import (
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"jetstream/handlers"
	"jetstream/internal/api"
	"jetstream/internal/client"
	"jetstream/internal/server"
	"jetstream/internal/transfer/digest"
	"jetstream/internal/transfer/sender"
	"jetstream/triggers"
)

// TestDefaultsOfTheContract: what a parameter is when it is absent.
func TestDefaultsOfTheContract(t *testing.T) {
	registry := handlers.Commands(handlers.Deps{})
	for _, want := range []struct{ command, parameter, value string }{
		{"send.createDestination", "destinationPort", "8887"},
		{"send.createDestination", "sendRateMax", "0"},
		{"send.createManifest", "onError", "stop"},
		{"send.createTransfer", "destinationPath", "/"},
		{"send.createTransfer", "priority", "100"},
		{"send.createTransfer", "checkpointFrequencySeconds", "5"},
		{"send.createTransfer", "conflict", "overwrite"},
		{"send.createTransfer", "onError", "stop"},
		{"send.createTransfer", "compression", "auto"},
		{"send.deleteDestination", "force", "false"},
		{"send.deleteTransfer", "force", "false"},
		{"createAPIToken", "path", "/"},
		{"createUser", "superuser", "false"},
		{"send.waitForManifest", "timeoutSeconds", "50"},
		{"send.waitForTransfer", "timeoutSeconds", "50"},
	} {
		c, ok := registry.Find(want.command)
		if !ok {
			t.Fatalf("no command %s", want.command)
		}
		p, ok := c.Param(want.parameter)
		if !ok || strings.Trim(p.Default, `"`) != want.value {
			t.Errorf("%s of %s is %s by default, want %s", want.parameter, want.command, p.Default, want.value)
		}
	}
	c, _ := registry.Find("send.createTransfer")
	if p, _ := c.Param("password"); !p.Secret {
		t.Error("the remote password is no secret")
	}
}

// TestFlagsOfTheContract: jetstream server has the contract's flags and no
// other, each with its variable; of two the last counts.
func TestFlagsOfTheContract(t *testing.T) {
	text := read(t, "../../docs/api.md")
	_, text, _ = strings.Cut(text, "`jetstream server` flags")
	text, _, _ = strings.Cut(text, "Logs go to stderr")
	var want []string
	for _, m := range regexp.MustCompile(`--([a-z-]+)`).FindAllStringSubmatch(text, -1) {
		want = append(want, m[1])
	}
	defaults := map[string]string{}
	for f := range reflect.TypeFor[serverCmd]().Fields() {
		if f.IsExported() {
			defaults[f.Tag.Get("name")] = f.Tag.Get("default")
		}
	}
	got := slices.Sorted(maps.Keys(defaults))
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("flags (-contract +program):\n%s", diff)
	}
	for name, value := range map[string]string{"api-host": "127.0.0.1", "api-port": "8886", "recv-host": "", "recv-port": "8887"} {
		if defaults[name] != value {
			t.Errorf("--%s is %q by default, want %q", name, defaults[name], value)
		}
	}
	help := jetstream(t, nil, "", "server", "--help").stdout
	for name := range defaults {
		if variable := "JETSTREAM_SERVER_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_")); !strings.Contains(help, variable) {
			t.Errorf("the help of jetstream server does not name %s", variable)
		}
	}
	// The state is no directory, so that nothing starts; who is named was taken.
	file := t.TempDir() + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"JETSTREAM_SERVER_PERSISTENT_STATE_DIR": file, "JETSTREAM_SERVER_API_HOST": "by:variable"}
	if got := jetstream(t, env, "", "server"); got.code != exitUsage || !strings.Contains(got.stderr, "by:variable") {
		t.Errorf("a flag's variable: %+v", got)
	}
	if got := jetstream(t, env, "", "server", "--api-host=first:one", "--api-host=last:one"); got.code != exitUsage || !strings.Contains(got.stderr, "last:one") {
		t.Errorf("a repeated flag: %+v", got)
	}
	if got := jetstream(t, env, "", "server", "--api-host=localhost"); got.code != exitFailed || !strings.Contains(got.stderr, file) {
		t.Errorf("the flag goes before its variable: %+v", got)
	}
}

// TestChoicesOfTheFlagsAreTheEngines: the tags of the flags cannot name constants.
func TestChoicesOfTheFlagsAreTheEngines(t *testing.T) {
	choices := map[string][]string{"congestion": sender.Congestions(), "policy": sender.Policies()}
	for _, a := range digest.Algorithms() {
		choices["digest"] = append(choices["digest"], string(a))
	}
	for name, want := range choices {
		f, ok := reflect.TypeFor[serverCmd]().FieldByNameFunc(func(field string) bool { return strings.EqualFold(field, name) })
		if got := f.Tag.Get("enum"); !ok || got != strings.Join(want, ",") || f.Tag.Get("default") != want[0] {
			t.Errorf("--%s takes %s, by default %s; the engine %v", name, got, f.Tag.Get("default"), want)
		}
	}
}

func TestDefaultsOfTheTriggerFlags(t *testing.T) {
	flags := map[string]string{}
	for f := range reflect.TypeFor[serverCmd]().Fields() {
		flags[f.Tag.Get("name")] = f.Tag.Get("default")
	}
	for name, want := range map[string]string{
		"trigger-dir": "", "trigger-on-api": "", "trigger-log": "", "trigger-timeout": "0s", "trigger-grace": "5s", "trigger-keep": "10000",
		"trigger-order": "global", "trigger-concurrency": "4", "trigger-queue-max": "100000", "trigger-queue-bytes": "1073741824", "trigger-env": "", "shutdown-grace": "30s",
	} {
		if got, ok := flags[name]; !ok || got != want {
			t.Errorf("--%s is %q by default (%t), want %q", name, got, ok, want)
		}
	}
}

// TestVariablesOfTheClient: jetstream api reads the contract's variables for its
// login and no other of that prefix.
func TestVariablesOfTheClient(t *testing.T) {
	var read []string
	getenv := func(name string) string {
		if !slices.Contains(read, name) {
			read = append(read, name)
		}
		return map[string]string{"JETSTREAM_API_HOST": "127.0.0.1", "JETSTREAM_API_PORT": "1", "JETSTREAM_API_USER": "ann", "JETSTREAM_API_PASSWORD": "x",
			"HOME": t.TempDir()}[name]
	}
	var out strings.Builder
	run(t.Context(), []string{"api", "getUsers"}, getenv, nil, &out, &out)
	run(t.Context(), []string{"api", "--tls", "getUsers"}, getenv, nil, &out, &out)
	var got []string
	for _, name := range read {
		if strings.HasPrefix(name, "JETSTREAM_API_") {
			got = append(got, name)
		}
	}
	slices.Sort(got)
	want := []string{"JETSTREAM_API_CA", "JETSTREAM_API_HOST", "JETSTREAM_API_PASSWORD", "JETSTREAM_API_PORT", "JETSTREAM_API_TOKEN", "JETSTREAM_API_USER"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("variables (-contract +read):\n%s\n%s", diff, out.String())
	}
}

// TestTypesOfTheStream: the stream has the events for scripts, the contract's
// further types, and no on.*.
func TestTypesOfTheStream(t *testing.T) {
	want := []string{
		"trigger.queued", "trigger.started", "trigger.ended", "trigger.output", "server.started", "server.stopping", "audit",
		"destination.updated", "transfer.changed", "transfer.progress",
	}
	var got []string
	for _, d := range server.StreamTypes() {
		got = append(got, d.Type)
		if live := d.Type == "transfer.progress" || d.Type == "trigger.output"; d.Live != live {
			t.Errorf("%s is live only: %v", d.Type, d.Live)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("types (-contract +program):\n%s", diff)
	}
	l := newLive(t)
	l.start()
	for _, d := range triggers.Definitions() {
		want = append(want, d.Name)
	}
	l.follow("root", client.EventOptions{Types: want})
	if res, body := l.send("GET", "/api/v1/events?types=on.getUsers", basic("root", l.password), nil); res.StatusCode != 400 || !strings.Contains(string(body), "on.getUsers") {
		t.Errorf("on.getUsers: %d %s", res.StatusCode, body)
	}
}

// TestListsOfTheContract asks every list for its bounds and its form.
func TestListsOfTheContract(t *testing.T) {
	p := newPair(t)
	for _, c := range handlers.Commands(handlers.Deps{}).All() {
		limit, isList := c.Param("limit")
		if !isList {
			continue
		}
		list, ok := listOf(api.Fields(c.ResultType))
		if !ok || limit.Default != "100" {
			t.Errorf("%s: its limit is %s by default, want 100; its result has a list beside nextCursor: %v", c.Name, limit.Default, ok)
		}
		f := fixtureOf(t, c.Name)
		at := f.server(p)
		params := f.params(p, 0)
		for limit, want := range map[int]int{-1: 400, 0: 400, 1: 200, 1000: 200, 1001: 400} {
			params["limit"] = limit
			status, reply := at.rest("root", "GET", restPath(c, params), nil)
			if status != want {
				t.Errorf("%s with limit %d: %d %s", c.Name, limit, status, reply.Message)
			}
			if status != 200 {
				continue
			}
			result := object(t, reply.Result)
			if list, ok := result[list.Name].([]any); !ok || len(list) > limit {
				t.Errorf("%s with limit %d: its list is %v", c.Name, limit, result)
			}
			if _, there := result["nextCursor"]; !there {
				t.Errorf("%s: there is no nextCursor in %v", c.Name, result)
			}
		}
	}
}

// TestWaitsOfTheContract: a wait that was over is no failure.
func TestWaitsOfTheContract(t *testing.T) {
	p := newPair(t)
	d := p.from.call("send.createDestination", map[string]any{"destinationAddress": "127.0.0.1", "destinationPort": 1})
	x := p.from.call("send.createTransfer", map[string]any{
		"manifestId": p.manifest(), "destinationId": d["destinationId"], "username": "bob", "password": p.to.password})
	path := fmt.Sprintf("/api/v1/send/transfers/%s/wait?timeoutSeconds=", x["transferId"])
	for seconds, want := range map[int]int{-1: 400, 0: 200, 1: 200, 601: 400} {
		status, reply := p.from.rest("alice", "GET", path+fmt.Sprint(seconds), nil)
		if status != want {
			t.Errorf("%d seconds: %d %s", seconds, status, reply.Message)
		}
		if got := object(t, reply.Result); status == 200 && (got["processing"] != true || got["status"] != "pending" || reply.Status != api.CodeSuccess) {
			t.Errorf("%d seconds: %s %v", seconds, reply.Status, got)
		}
	}
}

// TestReceivedTransfersAreSeenByTheirUser and by superusers, and nobody else.
func TestReceivedTransfersAreSeenByTheirUser(t *testing.T) {
	p := newPair(t)
	id := p.transfer()
	for user, want := range map[string]int{"bob": 200, "root": 200, "alice": 404} {
		for _, path := range []string{"", "/files"} {
			if status, reply := p.to.rest(user, "GET", "/api/v1/recv/transfers/"+id+path, nil); status != want {
				t.Errorf("%s%s as %s: %d %s", id, path, user, status, reply.Message)
			}
		}
		list := p.to.callAs(user, "recv.getTransfers", nil)["transfers"].([]any)
		sources := p.to.callAs(user, "recv.getSources", nil)["sources"].([]any)
		if seen := want == 200; (len(list) == 1) != seen || (len(sources) == 1) != seen {
			t.Errorf("%s sees %v and %v", user, list, sources)
		}
	}
	for user, want := range map[string]int{"alice": 403, "bob": 200, "root": 200} {
		for _, name := range []string{"bob", "Bob"} {
			status, reply := p.to.rest(user, "GET", "/api/v1/recv/transfers?username="+name, nil)
			if status != want || want == 200 && !strings.Contains(string(reply.Result), id) {
				t.Errorf("what %s received, as %s: %d %s %s", name, user, status, reply.Message, reply.Result)
			}
		}
	}
	got := p.to.callAs("bob", "recv.getTransfer", map[string]any{"transferId": id})
	for _, field := range []string{"transferId", "username", "status", "processing", "totalFiles", "totalSize", "filesReceived", "bytesReceived", "rate",
		"startTime", "endTime", "errorMessage", "sourceIP", "sourcePort", "sourcePublicKey", "destinationPath"} {
		if _, there := got[field]; !there {
			t.Errorf("a received transfer has no %s: %v", field, slices.Sorted(maps.Keys(got)))
		}
	}
}
