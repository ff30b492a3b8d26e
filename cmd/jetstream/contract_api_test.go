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
	"jetstream/triggers"
)

// contractRoutes are the routes of the contract's table, written out.
func contractRoutes() map[string]string {
	return map[string]string{
		"getServerInfo":                   "GET /server",
		"updateGarbageCollectSettings":    "PATCH /server/garbage-collection",
		"garbageCollect":                  "POST /server/garbage-collection/run",
		"getEventLog":                     "GET /server/event-log",
		"terminate":                       "POST /server/terminate",
		"ls":                              "GET /files",
		"lsRoots":                         "GET /files/roots",
		"du":                              "GET /files/usage",
		"mkdir":                           "POST /files/directories",
		"mv":                              "POST /files/move",
		"rm":                              "DELETE /files",
		"createUser":                      "POST /users",
		"getUsers":                        "GET /users",
		"getUser":                         "GET /users/{name}",
		"updateUser":                      "PATCH /users/{name}",
		"deleteUser":                      "DELETE /users/{name}",
		"createAPIToken":                  "POST /tokens",
		"getAPITokens":                    "GET /tokens",
		"deleteAPIToken":                  "DELETE /tokens/{tokenId}",
		"getTriggers":                     "GET /triggers",
		"emitTrigger":                     "POST /triggers/{event}/emit",
		"pauseTriggers":                   "POST /trigger-queue/pause",
		"resumeTriggers":                  "POST /trigger-queue/resume",
		"getTriggerRuns":                  "GET /trigger-runs",
		"getTriggerRun":                   "GET /trigger-runs/{runId}",
		"retryTriggerRun":                 "POST /trigger-runs/{runId}/retry",
		"cancelTriggerRun":                "POST /trigger-runs/{runId}/cancel",
		"send.createDestination":          "POST /send/destinations",
		"send.getDestinations":            "GET /send/destinations",
		"send.getDestination":             "GET /send/destinations/{destinationId}",
		"send.updateDestination":          "PATCH /send/destinations/{destinationId}",
		"send.deleteDestination":          "DELETE /send/destinations/{destinationId}",
		"send.createManifest":             "POST /send/manifests",
		"send.getManifests":               "GET /send/manifests",
		"send.getManifest":                "GET /send/manifests/{manifestId}",
		"send.waitForManifest":            "GET /send/manifests/{manifestId}/wait",
		"send.getManifestFiles":           "GET /send/manifests/{manifestId}/files",
		"send.deleteManifest":             "DELETE /send/manifests/{manifestId}",
		"send.createTransfer":             "POST /send/transfers",
		"send.getTransfers":               "GET /send/transfers",
		"send.getTransfer":                "GET /send/transfers/{transferId}",
		"send.waitForTransfer":            "GET /send/transfers/{transferId}/wait",
		"send.cancelTransfer":             "POST /send/transfers/{transferId}/cancel",
		"send.deleteTransfer":             "DELETE /send/transfers/{transferId}",
		"recv.cancelTransfer":             "POST /recv/transfers/{transferId}/cancel",
		"recv.getTransfers":               "GET /recv/transfers",
		"recv.getTransfer":                "GET /recv/transfers/{transferId}",
		"recv.getTransferFiles":           "GET /recv/transfers/{transferId}/files",
		"recv.getSources":                 "GET /recv/sources",
		"recv.getAuthorizedClients":       "GET /recv/authorized-clients",
		"recv.addAuthorizedClient":        "POST /recv/authorized-clients",
		"recv.removeAuthorizedClient":     "DELETE /recv/authorized-clients/{publicKey}",
		"recv.allowOnlyAuthorizedClients": "PATCH /recv/authorized-clients",
	}
}

// TestRoutesOfTheContract: every command of the contract's table is there under
// its route, and no other.
func TestRoutesOfTheContract(t *testing.T) {
	text := read(t, "../../docs/api.md")
	names := regexp.MustCompile("`([a-z]+\\.)?[a-z]+[A-Za-z]*`")
	var contract []string
	for line := range strings.Lines(text[strings.Index(text, "\n| command |"):strings.Index(text, "\n<!-- end: commands -->")]) {
		first, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
		for _, name := range names.FindAllString(first, -1) {
			contract = append(contract, strings.Trim(name, "`"))
		}
	}
	routes, registry := contractRoutes(), handlers.Commands(handlers.Deps{})
	for _, name := range contract {
		if _, known := routes[name]; !known {
			t.Errorf("%s has no route", name)
		}
	}
	for name := range routes {
		if !slices.Contains(contract, name) {
			t.Errorf("%s is not in the contract", name)
		}
	}
	got := map[string]string{}
	for _, c := range registry.All() {
		got[c.Name] = c.Method + " " + c.Path
	}
	if diff := cmp.Diff(routes, got); diff != "" {
		t.Errorf("routes (-contract +registry):\n%s", diff)
	}
}

// TestDefaultsOfTheContract: what a parameter is when it is absent.
func TestDefaultsOfTheContract(t *testing.T) {
	registry := handlers.Commands(handlers.Deps{})
	for _, want := range []struct{ command, parameter, value string }{
		{"send.createDestination", "destinationPort", "8887"},
		{"send.createDestination", "sendRateMax", "0"},
		{"send.createTransfer", "destinationPath", "/"},
		{"send.createTransfer", "priority", "100"},
		{"send.createTransfer", "checkpointFrequencySeconds", "5"},
		{"send.createTransfer", "conflict", "overwrite"},
		{"send.createTransfer", "onError", "stop"},
		{"send.deleteDestination", "force", "false"},
		{"send.deleteTransfer", "force", "false"},
		{"createAPIToken", "path", "/"},
		{"createUser", "superuser", "false"},
		{"send.waitForManifest", "timeoutSeconds", "60"},
		{"send.waitForTransfer", "timeoutSeconds", "60"},
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
		defaults[f.Tag.Get("name")] = f.Tag.Get("default")
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

// TestTypesOfTheStream: the stream knows the contract's types and no on.*.
func TestTypesOfTheStream(t *testing.T) {
	want := []string{
		"launch", "send.destinationCreated", "send.destinationDeleted", "send.transferStarted", "send.transferComplete", "send.transferFailed",
		"recv.transferStarted", "recv.transferComplete", "recv.transferFailed",
		"trigger.queued", "trigger.started", "trigger.ended", "trigger.output", "server.started", "server.stopping",
		"destination.updated", "transfer.changed", "transfer.progress",
	}
	var got []string
	for _, d := range triggers.Definitions() {
		got = append(got, d.Name)
	}
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
	l.follow("root", client.EventOptions{Types: want})
	if res, body := l.send("GET", "/api/v1/events?types=on.getUsers", basic("root", l.password), nil); res.StatusCode != 400 || !strings.Contains(string(body), "on.getUsers") {
		t.Errorf("on.getUsers: %d %s", res.StatusCode, body)
	}
}

// TestListsOfTheContract asks every list for its bounds and its form.
func TestListsOfTheContract(t *testing.T) {
	p := newPair(t)
	id := map[string]any{"manifestId": p.manifest(), "transferId": p.transfer(), "path": "/"}
	lists := map[string]string{
		"send.getDestinations": "destinations", "send.getManifests": "manifests", "send.getTransfers": "transfers", "recv.getTransfers": "transfers",
		"ls": "files", "send.getManifestFiles": "files", "recv.getTransferFiles": "files", "getTriggerRuns": "runs", "getUsers": "users",
		"getAPITokens": "tokens", "recv.getSources": "sources", "getEventLog": "events", "recv.getAuthorizedClients": "authorizedClients", "getTriggers": "triggers",
	}
	for _, c := range handlers.Commands(handlers.Deps{}).All() {
		limit, isList := c.Param("limit")
		key, known := lists[c.Name]
		if isList != known {
			t.Errorf("%s: has a limit: %v, is in this test: %v", c.Name, isList, known)
		}
		if !isList || !known {
			continue
		}
		if limit.Default != "100" {
			t.Errorf("%s: the limit is %s by default", c.Name, limit.Default)
		}
		at := p.from
		if c.Group() == "recv" {
			at = p.to
		}
		for limit, want := range map[int]int{-1: 400, 0: 400, 1: 200, 1000: 200, 1001: 400} {
			params := map[string]any{"limit": limit}
			for name, value := range id {
				if _, takes := c.Param(name); takes {
					params[name] = value
				}
			}
			status, reply := at.rest("root", "GET", restPath(c, params), nil)
			if status != want {
				t.Errorf("%s with limit %d: %d %s", c.Name, limit, status, reply.Message)
			}
			if status != 200 {
				continue
			}
			result := object(t, reply.Result)
			if list, ok := result[key].([]any); !ok || len(list) > limit {
				t.Errorf("%s with limit %d: %s is %v", c.Name, limit, key, result[key])
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
