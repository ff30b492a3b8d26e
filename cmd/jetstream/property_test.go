//go:build unix

package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"jetstream/handlers"
	"jetstream/internal/api"
)

var (
	propertySeed  = flag.Uint64("property.seed", 1, "seed of TestGeneratedParametersGetDocumentedAnswers")
	propertySteps = flag.Int("property.steps", 24, "requests to each command in TestGeneratedParametersGetDocumentedAnswers")
)

// TestGeneratedParametersGetDocumentedAnswers sends generated parameters, sound and unsound, to every
// command of a live server, by REST and envelope. Whatever comes: an answer as the
// document says it, never an internal error; what the document forbids is
// refused; and the server is as well afterwards as before.
func TestGeneratedParametersGetDocumentedAnswers(t *testing.T) {
	p := newPair(t)
	p.from.script("send.destinationCreated", "#!/bin/sh\nexit 0\n")
	c := contractOf(t, p.from)
	known := []string{p.manifest(), p.destination(), p.transfer(), api.ExampleID}
	p.from.awaitServer(t)
	g := generator{rand.New(rand.NewPCG(*propertySeed, 0)), known}
	for _, command := range handlers.Commands(handlers.Deps{}).All() {
		if command.Name == "terminate" {
			continue // it ends the server, and has a test of its own
		}
		t.Run(command.Name, func(t *testing.T) {
			at := p.from
			if command.Group() == "recv" {
				at = p.to
			}
			at.t = t
			for range *propertySteps {
				params, fault := g.parameters(command)
				user := []string{"alice", "root"}[g.IntN(2)]
				x := c.sendCommand(at, user, command, params)
				x.holds(t)
				if x.status == 500 {
					t.Errorf("%s: %s", x.sent, x.body)
				}
				// An unsound path parameter may be another route, or none.
				if forbidden := x.permitted(t); x.reply.Status == api.CodeSuccess && forbidden != nil {
					t.Errorf("%s succeeds (%s), though the document forbids it: %v", x.sent, fault, forbidden)
				}
				if x.status == 400 && fault == "" && len(command.Params) > 0 && fieldless(x.body) {
					t.Errorf("%s: refused without naming a field: %s", x.sent, x.body)
				}
				text, err := json.Marshal(map[string]any{"request": command.Name, "parameters": params})
				if err != nil {
					t.Fatal(err)
				}
				const path = "/api/v1/command"
				envelope := c.send(at, user, "POST", path, path, "application/json", text)
				envelope.holds(t)
				if envelope.status == 500 {
					t.Errorf("%s: %s", envelope.sent, envelope.body)
				}
			}
		})
	}
	p.from.t, p.to.t = t, t
	p.from.callAs("root", "getServerInfo", nil)
	p.to.callAs("root", "getServerInfo", nil)
}

// awaitServer fails early when the server does not answer.
func (l *live) awaitServer(t *testing.T) {
	t.Helper()
	if status, reply := l.rest("root", "GET", "/api/v1/server", nil); status != 200 {
		t.Fatalf("%d %s", status, reply.Message)
	}
}

// fieldless tells that a refusal names no parameter and says nothing of one.
func fieldless(body []byte) bool {
	var reply struct{ Message string }
	return json.Unmarshal(body, &reply) != nil || len(reply.Message) < 10
}

// generator makes parameters from declarations; not safe for concurrent use.
type generator struct {
	*rand.Rand
	ids []string
}

func pick[T any](g generator, of ...T) T { return of[g.IntN(len(of))] }

// parameters makes one set; fault says what is wrong with it, if anything is.
func (g generator) parameters(c *api.Command) (params map[string]any, fault string) {
	params = map[string]any{}
	for _, f := range c.Params {
		if f.Required || f.InPath || g.IntN(3) == 0 {
			params[f.Name] = g.sound(f)
		}
	}
	if _, waits := c.Param("timeoutSeconds"); waits {
		defer func() {
			if _, text := params["timeoutSeconds"].(string); !text {
				params["timeoutSeconds"] = 0 // a test has no time to wait
			}
		}()
	}
	names := slices.Sorted(maps.Keys(params))
	if g.IntN(2) == 0 || len(names) == 0 {
		return params, ""
	}
	name := pick(g, names...)
	f, _ := c.Param(name)
	switch g.IntN(4) {
	case 0:
		if !f.InPath {
			delete(params, name)
		}
		return params, "without " + name
	case 1:
		params["x"+name] = 1
		return params, "with an unknown parameter"
	default:
		params[name] = g.unsound(f)
		return params, fmt.Sprintf("with %s %v", name, params[name])
	}
}

// sound is a value that the declaration allows; the server may know no such thing.
func (g generator) sound(f api.Field) any {
	low, high := bounds(f)
	switch {
	case len(f.Enum) > 0 && f.Kind == api.KindString:
		return pick(g, f.Enum...)
	case f.Kind == api.KindBool:
		return g.IntN(2) == 0
	case f.Kind == api.KindInteger, f.Kind == api.KindNumber:
		return pick(g, low, high, low+g.Int64N(max(1, min(high-low, 1000))))
	case f.Kind == api.KindMap:
		return map[string]any{"/" + g.word(): "/" + g.word()}
	case f.Kind == api.KindList:
		return []any{g.word()}
	case strings.HasSuffix(f.Name, "Id"):
		return pick(g, g.ids...)
	case strings.Contains(strings.ToLower(f.Name), "path"):
		return pick(g, "/", "/reel", "/reel/a.txt", "/reel/../reel", "/"+g.word())
	}
	return g.word()
}

func bounds(f api.Field) (low, high int64) {
	low, high = 0, 1<<40
	for rule := range strings.SplitSeq(f.Rules, ",") {
		key, arg, _ := strings.Cut(rule, "=")
		n, err := strconv.ParseInt(arg, 10, 64)
		switch {
		case err == nil && key == "min":
			low = n
		case err == nil && key == "max":
			high = n
		}
	}
	return low, high
}

func (g generator) word() string {
	return pick(g, "w", "reel", "bob", "two words", "käse", "\u202egnp.exe", "a.b-c_d@e") + strconv.Itoa(g.IntN(1000))
}

// unsound is a value that is likely wrong: of another type, out of range, or
// made to hurt.
func (g generator) unsound(f api.Field) any {
	if f.InPath { // always text, and one segment
		return pick(g, "..", "%00", "a/b", " ", strings.Repeat("x", 5000), "'; DROP TABLE users", "null", "-1", "\u0000", "\xff")
	}
	_, high := bounds(f)
	return pick[any](g, nil, -1, high+1, 1.5, 1e300, true, "", "\u0000", "../../etc/passwd", strings.Repeat("é", 5000),
		[]any{}, []any{nil, []any{}}, map[string]any{}, map[string]any{"": ""}, map[string]any{"a": map[string]any{"b": nil}},
		map[string]any{"/../..": "/x"}, "-9223372036854775809", "'; DROP TABLE users", "$(id)", "\r\nX-Injected: 1")
}
