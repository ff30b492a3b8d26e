package handlers

import (
	"strings"
	"testing"
)

// TestEveryCommandIsExplained checks what the manual and the help need of each
// declaration.
func TestEveryCommandIsExplained(t *testing.T) {
	for _, c := range Commands(Deps{}).All() {
		if c.Summary == "" || strings.HasSuffix(c.Summary, ".") || c.Message == "" {
			t.Errorf("%s: its api.Spec needs a Summary without a period and a Message, and has %q and %q", c.Name, c.Summary, c.Message)
		}
		example := c.ExampleParams()
		for _, f := range c.Params {
			if _, given := example[f.Name]; f.Required && !f.Secret && !given {
				t.Errorf("%s: its api.Spec needs an Example with %s, which is required", c.Name, f.Name)
			}
		}
	}
}
