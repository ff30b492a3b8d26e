//go:build unix

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"jetstream/handlers"
	"jetstream/internal/api"
)

// fixture makes one command succeed on a live pair of servers.
type fixture struct {
	// params makes the parameters, and whatever must be there before; it is
	// called anew for each call: by REST (0), envelope (1), command line (2).
	params func(p *pair, call int) map[string]any
	// recv tells that the receiver is called, else the sender.
	recv bool
	// user is who calls; alice unless set.
	user string
	// varies names result fields that differ from call to call, beside those
	// whose names end in Id or Time.
	varies []string
	// after sets the trigger queue going again where params or the command
	// have stopped it.
	after func(*pair)
}

func none(*pair, int) map[string]any { return map[string]any{} }

func queueVaries() []string {
	return []string{"waiting", "running", "oldestWaitingTime", "oldestWaitingMilliseconds"}
}

func resume(p *pair) { p.from.callAs("root", "resumeTriggers", nil) }

// scripted names an event that has a script at the sender.
func (p *pair) scripted() string {
	p.from.script("send.destinationCreated", "#!/bin/sh\nexit 0\n")
	return "send.destinationCreated"
}

// endedRun is a run of that script that has ended.
func (p *pair) endedRun() any {
	p.from.t.Helper()
	id := p.from.callAs("root", "emitTrigger", map[string]any{"event": p.scripted()})["runId"]
	for {
		if r := p.from.callAs("root", "getTriggerRun", map[string]any{"runId": id}); r["endTime"] != nil {
			return id
		}
	}
}

// fixtureOf finds the fixture of a command, or ends the test.
func fixtureOf(t *testing.T, command string) fixture {
	t.Helper()
	f, ok := fixtures[command]
	if !ok {
		t.Fatalf("%s has no fixture: add one to fixtures in cmd/jetstream/everycommand_test.go, with parameters with which it succeeds,"+
			" then run `make generate`", command)
	}
	if f.user == "" {
		f.user = "alice"
	}
	return f
}

// server is the one that is called.
func (f fixture) server(p *pair) *live {
	if f.recv {
		return p.to
	}
	return p.from
}

// fixtures has an entry for every command.
var fixtures = map[string]fixture{
	"getServerInfo": {params: none, varies: []string{"triggers"}},
	"createUser": {user: "root", varies: []string{"name"}, params: func(_ *pair, call int) map[string]any {
		return map[string]any{"name": fmt.Sprintf("user%d", call), "password": "a secret of some length"}
	}},
	"getUsers":   {user: "root", params: none},
	"getUser":    {params: func(*pair, int) map[string]any { return map[string]any{"name": "alice"} }},
	"updateUser": {params: func(*pair, int) map[string]any { return map[string]any{"name": "alice", "password": testPassword} }},
	"deleteUser": {user: "root", params: func(p *pair, call int) map[string]any {
		name := fmt.Sprintf("leaver%d", call)
		p.from.callAs("root", "createUser", map[string]any{"name": name, "password": testPassword})
		return map[string]any{"name": name}
	}},
	"createAPIToken": {varies: []string{"token"}, params: func(*pair, int) map[string]any {
		return map[string]any{"description": "for the night's ingest", "path": "/reel", "expiryTime": int64(4_000_000_000_000_000)}
	}},
	"getAPITokens": {params: func(p *pair, _ int) map[string]any {
		p.from.call("createAPIToken", nil)
		return map[string]any{"limit": 1}
	}},
	"deleteAPIToken": {params: func(p *pair, _ int) map[string]any {
		return map[string]any{"tokenId": p.from.call("createAPIToken", nil)["tokenId"]}
	}},
	"getTriggerRuns": {user: "root", params: func(p *pair, _ int) map[string]any {
		p.endedRun()
		return map[string]any{"event": "send.destinationCreated", "limit": 1}
	}},
	"getTriggerRun": {user: "root", params: func(p *pair, _ int) map[string]any { return map[string]any{"runId": p.endedRun()} }},
	"getTriggers":   {user: "root", params: none, varies: []string{"queue", "runs", "lastRun"}},
	"emitTrigger": {user: "root", params: func(p *pair, _ int) map[string]any {
		return map[string]any{"event": p.scripted()}
	}},
	"retryTriggerRun": {user: "root", params: func(p *pair, _ int) map[string]any { return map[string]any{"runId": p.endedRun()} }},
	"pauseTriggers":   {user: "root", varies: queueVaries(), params: none, after: resume},
	"resumeTriggers":  {user: "root", varies: queueVaries(), params: none},
	"cancelTriggerRun": {user: "root", after: resume, params: func(p *pair, _ int) map[string]any {
		p.from.callAs("root", "pauseTriggers", nil)
		return map[string]any{"runId": p.from.callAs("root", "emitTrigger", map[string]any{"event": p.scripted()})["runId"]}
	}},
	"updateGarbageCollectSettings": {user: "root", params: func(*pair, int) map[string]any { return map[string]any{"interval": 7200} }},
	"updateBandwidthLimits": {user: "root", params: func(*pair, int) map[string]any {
		return map[string]any{"outgoingRateLimit": 10_000_000, "borrowIncomingRate": true}
	}},
	"garbageCollect": {user: "root", params: none},
	"getEventLog": {varies: []string{"id", "time", "transfer_id"}, params: func(p *pair, _ int) map[string]any {
		p.transfer()
		return map[string]any{"types": eventType{"send.transferComplete"}, "limit": 1}
	}},
	"reload":    {user: "root", params: none},
	"terminate": {user: "root", params: none, after: func(p *pair) { p.from.again() }},

	"ls":      {params: func(*pair, int) map[string]any { return map[string]any{"path": "/reel"} }},
	"lsRoots": {params: none},
	"du":      {params: func(*pair, int) map[string]any { return map[string]any{"path": "/reel"} }},
	"mkdir": {varies: []string{"path"}, params: func(_ *pair, call int) map[string]any {
		return map[string]any{"path": fmt.Sprintf("/made/%d/deep", call)}
	}},
	"mv": {varies: []string{"path"}, params: func(p *pair, call int) map[string]any {
		return map[string]any{"path": p.file("old"), "newPath": fmt.Sprintf("/new%d", call)}
	}},
	"rm": {params: func(p *pair, _ int) map[string]any { return map[string]any{"path": p.file("superfluous")} }},

	"send.createDestination": {params: func(p *pair, _ int) map[string]any {
		return map[string]any{"destinationAddress": "127.0.0.1", "destinationPort": p.to.recvPort, "sendRateMax": 0}
	}},
	"send.getDestinations": {params: none},
	"send.getDestination": {params: func(p *pair, _ int) map[string]any {
		return map[string]any{"destinationId": p.destination()}
	}},
	"send.updateDestination": {params: func(p *pair, _ int) map[string]any {
		d := p.from.call("send.createDestination", map[string]any{"destinationAddress": "127.0.0.1", "destinationPort": 8999})
		return map[string]any{"destinationId": d["destinationId"], "destinationPublicKey": "", "sendRateMax": 200000, "userData": map[string]any{"site": "b"}}
	}},
	"send.deleteDestination": {params: func(p *pair, call int) map[string]any {
		d := p.from.call("send.createDestination", map[string]any{"destinationAddress": "127.0.0.1", "destinationPort": 9000 + call})
		return map[string]any{"destinationId": d["destinationId"], "force": true}
	}},
	"send.getReceiverKey": {params: func(p *pair, _ int) map[string]any {
		return map[string]any{"destinationAddress": "127.0.0.1", "destinationPort": p.to.recvPort}
	}},
	"send.createManifest": {params: func(*pair, int) map[string]any {
		return map[string]any{"fileMappings": map[string]any{"/reel": "/reel"}, "include": []any{"*.mov"}, "exclude": []any{"*.tmp", "/reel/cut/"}}
	}},
	"send.getManifests": {params: func(p *pair, _ int) map[string]any {
		p.manifest()
		return map[string]any{"limit": 1, "status": "complete"}
	}},
	"send.getManifest":      {params: func(p *pair, _ int) map[string]any { return map[string]any{"manifestId": p.manifest()} }},
	"send.waitForManifest":  {params: func(p *pair, _ int) map[string]any { return map[string]any{"manifestId": p.manifest()} }},
	"send.getManifestFiles": {params: func(p *pair, _ int) map[string]any { return map[string]any{"manifestId": p.manifest()} }},
	"send.deleteManifest":   {params: func(p *pair, _ int) map[string]any { return map[string]any{"manifestId": p.manifest()} }},
	"send.createTransfer": {params: func(p *pair, _ int) map[string]any {
		return map[string]any{"manifestId": p.manifest(), "destinationId": p.destination(), "username": "bob", "password": testPassword, "destinationPath": "/in"}
	}},
	"send.getTransfers": {varies: []string{"rate", "bytesSent", "filesSent", "status", "processing"}, params: func(p *pair, _ int) map[string]any {
		p.transfer()
		return map[string]any{"limit": 1}
	}},
	"send.getTransfer":     {varies: []string{"rate"}, params: func(p *pair, _ int) map[string]any { return map[string]any{"transferId": p.transfer()} }},
	"send.waitForTransfer": {varies: []string{"rate"}, params: func(p *pair, _ int) map[string]any { return map[string]any{"transferId": p.transfer()} }},
	"send.cancelTransfer":  {params: func(p *pair, _ int) map[string]any { return map[string]any{"transferId": p.waiting()} }},
	"send.suspendTransfer": {params: func(p *pair, _ int) map[string]any { return map[string]any{"transferId": p.waiting()} }},
	"send.resumeTransfer": {params: func(p *pair, _ int) map[string]any {
		id := p.waiting()
		p.from.call("send.suspendTransfer", map[string]any{"transferId": id})
		return map[string]any{"transferId": id}
	}},
	"send.failTransfer": {params: func(p *pair, _ int) map[string]any {
		return map[string]any{"transferId": p.waiting(), "message": "the reel was withdrawn"}
	}},
	"send.updateTransfer": {varies: []string{"errorMessage", "nextAttemptTime"}, params: func(p *pair, _ int) map[string]any {
		return map[string]any{"transferId": p.waiting(), "priority": 10}
	}},
	"send.deleteTransfer": {params: func(p *pair, _ int) map[string]any { return map[string]any{"transferId": p.transfer()} }},
	"send.getConnections": {varies: connectionVaries(), params: func(p *pair, _ int) map[string]any {
		p.connection()
		return map[string]any{"limit": 1}
	}},
	"send.getConnection": {varies: connectionVaries(), params: func(p *pair, _ int) map[string]any {
		return map[string]any{"connectionId": p.connection()}
	}},
	"recv.getTransfers": {recv: true, user: "bob", varies: []string{"rate", "sourcePort"}, params: func(p *pair, _ int) map[string]any {
		p.transfer()
		return map[string]any{"limit": 1, "status": "complete"}
	}},
	"recv.getTransfer": {recv: true, user: "bob", varies: []string{"rate", "sourcePort"}, params: func(p *pair, _ int) map[string]any {
		return map[string]any{"transferId": p.transfer()}
	}},
	"recv.getSources": {recv: true, user: "bob", varies: sourceVaries(), params: func(p *pair, _ int) map[string]any {
		p.transfer()
		return map[string]any{"limit": 1}
	}},
	"recv.getAuthorizedClients": {recv: true, user: "root", params: func(p *pair, _ int) map[string]any {
		p.trusted(9)
		return map[string]any{"limit": 1}
	}},
	"recv.addAuthorizedClient": {recv: true, user: "root", varies: []string{"publicKey"}, params: func(_ *pair, call int) map[string]any {
		return map[string]any{"publicKey": clientKey(call), "description": "the archive"}
	}},
	"recv.removeAuthorizedClient": {recv: true, user: "root", params: func(p *pair, _ int) map[string]any {
		return map[string]any{"publicKey": p.trusted(8)}
	}},
	"recv.allowOnlyAuthorizedClients": {recv: true, user: "root", params: func(*pair, int) map[string]any {
		return map[string]any{"onlyAuthorizedClientsAllowed": false}
	}},
	"recv.cancelTransfer": {recv: true, user: "bob", varies: []string{"sourcePort", "sourcePublicKey"}, params: func(p *pair, _ int) map[string]any {
		return map[string]any{"transferId": p.receiving()}
	}},
	"recv.getTransferFiles": {recv: true, user: "bob", params: func(p *pair, _ int) map[string]any {
		return map[string]any{"transferId": p.transfer()}
	}},
}

// waiting makes a transfer that waits until somebody ends it: nobody listens at
// its port.
func (p *pair) waiting() any {
	d := p.from.call("send.createDestination", map[string]any{"destinationAddress": "127.0.0.1", "destinationPort": 1})
	return p.from.call("send.createTransfer", map[string]any{
		"manifestId": p.manifest(), "destinationId": d["destinationId"], "username": "bob", "password": testPassword})["transferId"]
}

// TestEveryCommand holds what one declaration promises, for every command, in a
// session that a validator watches: both ways of calling and the command line give the same, strangers and unknown
// parameters are refused, it stands in the document and in the help, and its
// trigger gets exactly the four arguments.
func TestEveryCommand(t *testing.T) {
	t.Parallel()
	registry := handlers.Commands(handlers.Deps{})
	p := &pair{}
	*p = *newPair(t, "--trigger-on-api")
	p.to.stop()
	p.to.start("--trigger-dir="+p.to.triggers, "--trigger-on-api")
	validators := map[*live]*validator{p.from: p.from.validated(t), p.to: p.to.validated(t)}
	heard := map[*live]*fifo{p.from: listenOn(t, p.from, registry), p.to: listenOn(t, p.to, registry)}
	p.from.script("send.destinationCreated", "#!/bin/sh\nexit 0\n")
	document := openAPIOf(t, p.from)
	help := helpOf(t, p.from)

	for name := range fixtures {
		if _, ok := registry.Find(name); !ok {
			t.Errorf("there is no command %s: remove its fixture from cmd/jetstream/everycommand_test.go, or rename it", name)
		}
	}
	for _, c := range registry.All() {
		t.Run(c.Name, func(t *testing.T) {
			f := fixtureOf(t, c.Name)
			at := f.server(p)
			p.from.t, p.to.t = t, t
			checkCalls(t, p, at, c, f, heard[at])
			checkRefusals(t, at, c, f)
			if !document[c.Name] {
				t.Error("it is not in the OpenAPI document")
			}
			if !strings.Contains(help, c.Name) && !strings.Contains(help, c.BareName()) {
				t.Error("it is not in the help of jetstream api")
			}
		})
	}
	for l, v := range validators {
		l.t = t
		checkBeside(t, l)
		if v.answers.Load() == 0 {
			t.Error("nothing went through the validator")
		}
	}
	// No script shall wait for a reader when the servers stop.
	for l, h := range heard {
		l.t = t
		h.drain()
	}
}

// checkBeside calls what stands beside the commands; the validator judges.
func checkBeside(t *testing.T, l *live) {
	t.Helper()
	for _, path := range []string{"/healthz", "/healthz?verbose", "/metrics", "/openapi.json", "/api/v1/events", "/session", "/nothing", "/api/v1/nothing"} {
		for _, user := range []string{"", "alice", "root"} {
			ctx, cancel := context.WithCancel(t.Context())
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.baseURL+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if user != "" {
				req.SetBasicAuth(user, l.password)
			}
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			cancel() // the event stream would not end
			_ = res.Body.Close()
		}
	}
}

// checkCalls calls c by REST, envelope and command line.
func checkCalls(t *testing.T, p *pair, at *live, c *api.Command, f fixture, heard *fifo) {
	t.Helper()
	var results []any
	for call := range 3 {
		params := f.params(p, call)
		if f.after == nil { // else nothing is heard before it was called
			heard.drain()
		}
		var status int
		var reply api.Reply
		switch call {
		case 0:
			status, reply = at.rest(f.user, c.Method, restPath(c, params), restBody(c, params))
		case 1:
			status, reply = at.rest(f.user, "POST", "/api/v1/command", map[string]any{"request": c.Name, "parameters": params})
		case 2:
			code, stdout, stderr := at.cli(f.user, append([]string{c.Name}, cliArgs(t, c, params)...)...)
			if code != 0 {
				t.Fatalf("command line: exit status %d: %s", code, stderr)
			}
			status, reply = c.Status, api.Reply{Status: api.CodeSuccess, Result: json.RawMessage(stdout)}
		}
		if reply.Status != api.CodeSuccess || status != c.Status && status != 200 {
			t.Fatalf("call %d: %d %s %q, want %d success", call, status, reply.Status, reply.Message, c.Status)
		}
		if call < 2 && reply.Message == "" {
			t.Errorf("call %d: success says nothing", call)
		}
		if f.after != nil {
			f.after(p)
		}
		result := object(t, reply.Result)
		checkTrigger(t, heard.next("on."+c.Name), c, params, reply, call)
		results = append(results, plain(result, f.varies))
	}
	for call := 1; call < 3; call++ {
		if diff := cmp.Diff(results[0], results[call]); diff != "" {
			t.Errorf("call %d gave another result than REST (-REST +other):\n%s%s", call, diff, variesCure(c.Name, differing(results[0], results[call])))
		}
	}
}

// variesCure says how to tell the tests that values of these result fields
// differ from call to call; nothing without fields.
func variesCure(command string, fields []string) string {
	if len(fields) == 0 {
		return ""
	}
	return fmt.Sprintf("If these values differ from call to call, add them to varies of the fixture of %s in "+
		"cmd/jetstream/everycommand_test.go, which `make generate` does not do: %q", command, fields)
}

// differing names the fields, at any depth, whose values a and b both have and
// which differ.
func differing(a, b any) (fields []string) {
	switch a := a.(type) {
	case map[string]any:
		b, _ := b.(map[string]any)
		for name, value := range a {
			if other, both := b[name]; both && !cmp.Equal(value, other) {
				if inner := differing(value, other); len(inner) > 0 {
					fields = append(fields, inner...)
				} else {
					fields = append(fields, name)
				}
			}
		}
	case []any:
		b, _ := b.([]any)
		for i := range min(len(a), len(b)) {
			fields = append(fields, differing(a[i], b[i])...)
		}
	}
	slices.Sort(fields)
	return slices.Compact(fields)
}

// checkTrigger holds the four arguments of on.<command>.
func checkTrigger(t *testing.T, args []string, c *api.Command, params map[string]any, reply api.Reply, call int) {
	t.Helper()
	if len(args) != 4 {
		t.Fatalf("call %d: on.%s got %d arguments, want 4: %q", call, c.Name, len(args), args)
	}
	command, want := object(t, []byte(args[0])), map[string]any{}
	for name, v := range params {
		if f, _ := c.Param(name); f.Secret {
			v = "***"
		}
		want[name] = v
	}
	if diff := cmp.Diff(jsonValue(t, map[string]any{"request": c.Name, "parameters": want}), any(command)); diff != "" {
		t.Errorf("call %d: command argument (-want +got):\n%s", call, diff)
	}
	if args[1] != "success" || call < 2 && args[2] != reply.Message {
		t.Errorf("call %d: status and message arguments are %q %q, the reply's %q", call, args[1], args[2], reply.Message)
	}
	result := object(t, reply.Result)
	for _, f := range api.Fields(c.ResultType) {
		if _, there := result[f.Name]; there && f.Secret {
			result[f.Name] = "***"
		}
	}
	if diff := cmp.Diff(result, object(t, []byte(args[3]))); diff != "" {
		t.Errorf("call %d: result argument (-reply +argument):\n%s", call, diff)
	}
}

func checkRefusals(t *testing.T, at *live, c *api.Command, f fixture) {
	t.Helper()
	path := restPath(c, map[string]any{})
	status, reply := at.rest("", c.Method, path, nil)
	if c.Access == api.AccessPublic {
		result := object(t, reply.Result)
		if len(result) != 3 || result["version"] == nil || result["apiVersion"] == nil || result["authRequired"] != true {
			t.Errorf("without login it shows %v: docs/api.md allows that of getServerInfo alone; give it another Access, or hold here what it may show", result)
		}
	} else if status != 401 || reply.Status != api.CodeUnauthorized {
		t.Errorf("without login: %d %s", status, reply.Status)
	}
	if status, reply := at.rest("", "POST", "/api/v1/command", map[string]any{"request": c.Name}); status != 401 {
		t.Errorf("without login, by the envelope: %d %s", status, reply.Status)
	}
	if c.Access == api.AccessSuperuser {
		if status, reply := at.rest("alice", c.Method, path, nil); status != 403 {
			t.Errorf("as a common user: %d %s", status, reply.Status)
		}
	}
	status, reply = at.rest(f.user, "POST", "/api/v1/command", map[string]any{"request": c.Name, "parameters": map[string]any{"noSuchThing": 1}})
	if status != 400 || !strings.Contains(reply.Message, "noSuchThing") {
		t.Errorf("unknown parameter: %d %q", status, reply.Message)
	}
	if code, _, stderr := at.cli(f.user, c.Name, "--noSuchThing=1"); code != 2 || !strings.Contains(stderr, "noSuchThing") {
		t.Errorf("unknown flag: exit status %d, %s", code, stderr)
	}
}

// restPath fills path parameters in and writes the query of GET and DELETE.
func restPath(c *api.Command, params map[string]any) string {
	path, query := api.Prefix+c.Path, url.Values{}
	for _, f := range c.Params {
		v, given := params[f.Name]
		switch {
		case f.InPath && !given:
			path = strings.ReplaceAll(path, "{"+f.Name+"}", "x")
		case f.InPath:
			path = strings.ReplaceAll(path, "{"+f.Name+"}", url.PathEscape(fmt.Sprint(v)))
		case given && (c.Method == "GET" || c.Method == "DELETE"):
			query.Set(f.Name, fmt.Sprint(v))
		}
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return path
}

func restBody(c *api.Command, params map[string]any) any {
	if c.Method == "GET" || c.Method == "DELETE" {
		return nil
	}
	body := map[string]any{}
	for name, v := range params {
		if f, _ := c.Param(name); !f.InPath {
			body[name] = v
		}
	}
	return body
}

// cliArgs writes parameters as flags; a secret goes by way of a file.
func cliArgs(t *testing.T, c *api.Command, params map[string]any) []string {
	t.Helper()
	var args []string
	for name, v := range params {
		f, _ := c.Param(name)
		switch {
		case f.Secret:
			path := filepath.Join(t.TempDir(), name)
			if err := os.WriteFile(path, fmt.Appendf(nil, "%v\n", v), 0o600); err != nil {
				t.Fatal(err)
			}
			args = append(args, "--"+name+"=@"+path)
		case f.Kind == api.KindMap:
			for key, value := range v.(map[string]any) {
				args = append(args, fmt.Sprintf("--%s=%s:%s", name, key, value))
			}
		default:
			list, ok := v.([]any)
			if !ok {
				list = []any{v}
			}
			for _, value := range list {
				args = append(args, fmt.Sprintf("--%s=%v", name, value))
			}
		}
	}
	slices.Sort(args)
	return args
}

func jsonValue(t *testing.T, v any) any {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// plain takes out what differs from call to call: ids, times, and varies.
func plain(v any, varies []string) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, value := range v {
			if !strings.HasSuffix(key, "Id") && !strings.HasSuffix(key, "Time") && key != "nextCursor" && !slices.Contains(varies, key) {
				out[key] = plain(value, varies)
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = plain(v[i], varies)
		}
		return out
	}
	return v
}

// fifo receives the arguments of every on.* script of a server.
type fifo struct {
	l     *live
	r     *bufio.Reader
	marks int
}

// listenOn gives every on.<command> of l a script that writes its event's
// name, all that it is given beside its arguments, and these, each ended by
// NUL, into a pipe.
func listenOn(t *testing.T, l *live, registry *api.Registry) *fifo {
	t.Helper()
	path := filepath.Join(t.TempDir(), "calls")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0) // both ends: a writer's end is no end of file
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	for _, name := range registry.Names() {
		l.script("on."+name, "#!/bin/sh\nprintf '%s\\0' \"$JETSTREAM_EVENT\" \"$JETSTREAM_EVENT_REQUEST_ID\" \"$(env; cat)\" \"$#\" \"$@\" >"+path+"\n")
	}
	return &fifo{l: l, r: bufio.NewReaderSize(file, 1<<20)}
}

func (f *fifo) word() string {
	f.l.t.Helper()
	s, err := f.r.ReadString(0)
	if err != nil {
		f.l.t.Fatal(err)
	}
	return strings.TrimSuffix(s, "\x00")
}

func (f *fifo) read() (event, requestID string, args []string) {
	f.l.t.Helper()
	event, requestID = f.word(), f.word()
	seen := f.word() // environment and standard input
	count := 0
	if _, err := fmt.Sscan(f.word(), &count); err != nil {
		f.l.t.Fatal(err)
	}
	args = make([]string, count)
	for i := range args {
		args[i] = f.word()
		seen += args[i]
	}
	for _, leak := range f.l.in("what the script of "+event+" is given", []byte(seen)) {
		f.l.t.Error("LEAK: ", leak)
	}
	return event, requestID, args
}

// drain reads what the fixtures have caused so far: events come in order, so
// everything before that of a call made now.
func (f *fifo) drain() {
	f.l.t.Helper()
	f.marks++
	mark := fmt.Sprintf("mark-%d", f.marks)
	f.l.rest("alice", "GET", "/api/v1/server", nil, api.RequestIDHeader, mark)
	for {
		if _, id, _ := f.read(); id == mark {
			return
		}
	}
}

// next returns the arguments of the next call of event's script.
func (f *fifo) next(event string) []string {
	f.l.t.Helper()
	for {
		if name, _, args := f.read(); name == event {
			return args
		}
	}
}

func openAPIOf(t *testing.T, l *live) map[string]bool {
	t.Helper()
	doc := object(t, fetch(t, l.baseURL+"/openapi.json"))
	names := map[string]bool{}
	for _, path := range doc["paths"].(map[string]any) {
		for _, operation := range path.(map[string]any) {
			if op, ok := operation.(map[string]any); ok {
				if id, ok := op["operationId"].(string); ok {
					names[id] = true
				}
			}
		}
	}
	return names
}

func helpOf(t *testing.T, l *live) string {
	t.Helper()
	code, stdout, stderr := l.cli("alice", "--help")
	if code != 0 {
		t.Fatalf("jetstream api --help: exit status %d: %s", code, stderr)
	}
	return stdout
}
