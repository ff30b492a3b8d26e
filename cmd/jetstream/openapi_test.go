//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

var (
	update   = flag.Bool("update", false, "write the generated files anew instead of comparing them")
	breaking = flag.Bool("breaking", false, "with -update: allow changes that break clients and scripts")
)

const openAPIFile = "../../openapi/openapi.json"

// TestOpenAPIDocumentIsFresh holds that the committed document is what a server
// publishes, and that no route and no argument of a script is lost.
func TestOpenAPIDocumentIsFresh(t *testing.T) {
	l := newBare(t)
	l.start()
	fresh := fetch(t, l.baseURL+"/openapi.json")
	committed, err := os.ReadFile(openAPIFile)
	if err != nil {
		t.Fatal(err)
	}
	committed = bytes.ReplaceAll(committed, []byte("\r\n"), []byte("\n")) // a checkout on Windows
	if broken := brokenPromises(t, committed, fresh); len(broken) > 0 && !*breaking {
		t.Fatalf("%s\nClients and scripts rely on it: take the change back. `make generate` does not cure it; if it must be, run\n"+
			"\tgo test ./cmd/jetstream -run TestOpenAPIDocumentIsFresh -update -breaking\nand name it in CHANGELOG.md", strings.Join(broken, "\n"))
	}
	switch {
	case bytes.Equal(committed, fresh):
	case *update:
		if err := os.WriteFile(openAPIFile, fresh, 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		got, want := bytes.Split(committed, []byte("\n")), bytes.Split(fresh, []byte("\n"))
		line := 0
		for line < min(len(got), len(want))-1 && bytes.Equal(got[line], want[line]) {
			line++
		}
		t.Errorf("openapi/openapi.json is stale from line %d on: run `make generate`\nhas   %s\nwants %s", line+1, got[line], want[line])
	}
}

// brokenPromises lists the operations of the committed document that the fresh
// one has lost or has under another route, and the events whose arguments have
// lost their places.
func brokenPromises(t *testing.T, committed, fresh []byte) (broken []string) {
	oldRoutes, oldArguments := promises(t, committed)
	newRoutes, newArguments := promises(t, fresh)
	for name, route := range oldRoutes {
		if now := newRoutes[name]; now != route {
			broken = append(broken, fmt.Sprintf("%s was %s and is now %q", name, route, now))
		}
	}
	for name, arguments := range oldArguments {
		now, is := newArguments[name]
		if !is || !slices.Equal(arguments, now[:min(len(now), len(arguments))]) {
			broken = append(broken, fmt.Sprintf("the script of %s got %q and now gets %q: new arguments go last", name, arguments, now))
		}
	}
	slices.Sort(broken)
	return broken
}

// promises reads the route of each operation and the arguments of each event.
func promises(t *testing.T, document []byte) (routes map[string]string, arguments map[string][]string) {
	t.Helper()
	type operation struct {
		ID        string   `json:"operationId"`
		Arguments []string `json:"x-arguments"`
	}
	var doc struct {
		Paths    map[string]map[string]operation
		Webhooks map[string]map[string]operation
	}
	if err := json.Unmarshal(document, &doc); err != nil {
		t.Fatal(err)
	}
	routes, arguments = map[string]string{}, map[string][]string{}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			routes[op.ID] = strings.ToUpper(method) + " " + path
		}
	}
	for name, methods := range doc.Webhooks {
		for _, op := range methods {
			arguments[name] = op.Arguments
		}
	}
	return routes, arguments
}

func TestBrokenPromisesAreFound(t *testing.T) {
	document := func(route, arguments string) []byte {
		return fmt.Appendf(nil, `{"paths": {%s}, "webhooks": {%s}}`, route, arguments)
	}
	const (
		ls     = `"/files": {"get": {"operationId": "ls"}}`
		launch = `"launch": {"post": {"x-arguments": ["port"]}}`
	)
	for name, tt := range map[string]struct {
		route, arguments string
		want             string
	}{
		"the same":          {ls, launch, ""},
		"more":              {ls + `, "/more": {"get": {"operationId": "more"}}`, `"launch": {"post": {"x-arguments": ["port", "host"]}}`, ""},
		"another path":      {`"/ls": {"get": {"operationId": "ls"}}`, launch, `ls was GET /files and is now "GET /ls"`},
		"another method":    {`"/files": {"post": {"operationId": "ls"}}`, launch, `ls was GET /files and is now "POST /files"`},
		"command gone":      {``, launch, `ls was GET /files and is now ""`},
		"event gone":        {ls, ``, `the script of launch got ["port"] and now gets []`},
		"argument gone":     {ls, `"launch": {"post": {}}`, `the script of launch got ["port"] and now gets []`},
		"argument not last": {ls, `"launch": {"post": {"x-arguments": ["host", "port"]}}`, `the script of launch got ["port"] and now gets ["host" "port"]`},
	} {
		got := strings.Join(brokenPromises(t, document(ls, launch), document(tt.route, tt.arguments)), "\n")
		if tt.want == "" && got != "" || !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}
