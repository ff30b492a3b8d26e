package openapi_test

import (
	"strings"
	"testing"

	"jetstream/handlers"
	"jetstream/internal/api"
)

func TestEveryRealCommandIsDescribed(t *testing.T) {
	r := handlers.Commands(handlers.Deps{})
	_, doc := document(t, r)
	for _, c := range r.All() {
		item := doc.Paths.Value(api.Prefix + c.Path)
		if item == nil || item.GetOperation(c.Method) == nil || item.GetOperation(c.Method).OperationID != c.Name {
			t.Errorf("%s is not described at %s %s", c.Name, c.Method, c.Path)
		} else if item.GetOperation(c.Method).Description == "" {
			t.Errorf("%s has no description", c.Name)
		}
		// Generators of clients make types of these names for an operation.
		words := strings.FieldsFunc(c.Name, func(r rune) bool { return r == '.' })
		for i, word := range words {
			words[i] = strings.ToUpper(word[:1]) + word[1:]
		}
		for _, ending := range []string{"", "Request", "Response", "Result", "Params", "Parameters", "Body", "Data", "Error", "Errors", "Responses", "OK", "Created", "Res", "Req"} {
			for _, name := range []string{strings.Join(words, "") + ending, words[len(words)-1] + ending} {
				if doc.Components.Schemas[name] != nil {
					t.Errorf("the schema %s is named as what generators make for %s", name, c.Name)
				}
			}
		}
	}
	for name, response := range doc.Components.Responses {
		if name != "failure" && response.Value.Content["application/json"].Example == nil {
			t.Errorf("no example of %s was recorded; run `make generate`", name)
		}
	}
}
