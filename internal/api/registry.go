package api

import (
	"encoding/json"
	"fmt"
)

// Reply is the reply of every command, by REST route and by envelope. Result is
// always an object: {} or {"fields": [...]} on failure.
type Reply struct {
	Status  Code            `json:"status"`
	Message string          `json:"message"`
	Result  json.RawMessage `json:"result"`
}

// FailureReply returns the reply for an error, without its cause.
func FailureReply(err error) Reply {
	e := ErrorOf(err)
	r := Reply{Status: e.Code, Message: e.Message, Result: json.RawMessage(`{}`)}
	if len(e.Fields) > 0 {
		if b, err := Marshal(map[string]any{"fields": e.Fields}); err == nil {
			r.Result = b
		}
	}
	return r
}

// Registry holds the declared commands. It is immutable and safe for concurrent
// use.
type Registry struct {
	commands []*Command
	byName   map[string]*Command
	byBare   map[string]*Command
}

// NewRegistry returns a registry of the commands. It panics if two of them
// share a name or a route.
func NewRegistry(commands ...*Command) *Registry {
	r := &Registry{commands: commands, byName: map[string]*Command{}, byBare: map[string]*Command{}}
	routes := map[string]string{}
	for _, c := range commands {
		route := c.Method + " " + c.Path
		if _, twice := r.byName[c.Name]; twice {
			panic(fmt.Sprintf("command %s is declared twice", c.Name))
		}
		if other, twice := routes[route]; twice {
			panic(fmt.Sprintf("commands %s and %s share the route %s", other, c.Name, route))
		}
		r.byName[c.Name], routes[route] = c, c.Name
		if have, shared := r.byBare[c.BareName()]; !shared || (have.Group() == "recv" && c.Group() == "send") {
			r.byBare[c.BareName()] = c
		}
	}
	return r
}

// All returns the commands in the order of NewRegistry.
func (r *Registry) All() []*Command { return r.commands }

// Find returns the command of that full name.
func (r *Registry) Find(name string) (*Command, bool) {
	c, ok := r.byName[name]
	return c, ok
}

// FindBare returns the command of that full or bare name. A bare name that a
// send. and a recv. command share is that of the send. command.
func (r *Registry) FindBare(name string) (*Command, bool) {
	if c, ok := r.byName[name]; ok {
		return c, true
	}
	c, ok := r.byBare[name]
	return c, ok
}

// Names returns the full names in the order of NewRegistry.
func (r *Registry) Names() []string {
	names := make([]string, len(r.commands))
	for i, c := range r.commands {
		names[i] = c.Name
	}
	return names
}
