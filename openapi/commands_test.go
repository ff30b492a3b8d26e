package openapi_test

import (
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
		}
	}
	for name, response := range doc.Components.Responses {
		if name != "failure" && response.Value.Content["application/json"].Example == nil {
			t.Errorf("no example of %s was recorded; run `make generate`", name)
		}
	}
}
