package openapi_test

import (
	"go/parser"
	"go/token"
	"html"
	"regexp"
	"strings"
	"testing"

	"jetstream/handlers"
	"jetstream/triggers"
)

// TestPageShowsEverything: each command and event has an entry and a link in the
// contents, and every link within the page leads somewhere.
func TestPageShowsEverything(t *testing.T) {
	page := fetch("/docs", nil).Body.String()
	var names []string
	for _, c := range handlers.Commands(handlers.Deps{}).All() {
		names = append(names, c.Name)
		if !strings.Contains(page, "<p class=\"summary\">"+html.EscapeString(c.Summary)+"</p>") {
			t.Errorf("the summary of %s is missing", c.Name)
		}
		for _, p := range c.Params {
			if !strings.Contains(page, "<code class=\"name\">"+p.Name+"</code>") {
				t.Errorf("parameter %s of %s is missing", p.Name, c.Name)
			}
		}
	}
	for _, e := range triggers.Definitions() {
		names = append(names, "event."+e.Name)
	}
	ids := map[string]int{}
	for _, m := range regexp.MustCompile(` id="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		ids[m[1]]++
	}
	for id, n := range ids {
		if n > 1 {
			t.Errorf("%d elements have the id %s", n, id)
		}
	}
	for _, name := range names {
		if ids[name] == 0 || !strings.Contains(page, "<li><a href=\"#"+name+"\">") {
			t.Errorf("%s has no entry, or none in the contents", name)
		}
	}
	for _, m := range regexp.MustCompile(`href="#([^"]*)"`).FindAllStringSubmatch(page, -1) {
		if ids[m[1]] == 0 {
			t.Errorf("a link leads to #%s, which is not there", m[1])
		}
	}
}

// TestPageSamplesOfGoParse: that the others run is seen with a server, in cmd/jetstream.
func TestPageSamplesOfGoParse(t *testing.T) {
	page := fetch("/docs", nil).Body.String()
	samples := regexp.MustCompile(`(?s)data-language="Go"><figcaption>Go</figcaption><pre tabindex="0"><code>(.*?)</code>`).FindAllStringSubmatch(page, -1)
	if len(samples) < 60 {
		t.Fatalf("only %d samples", len(samples))
	}
	for _, m := range samples {
		code := html.UnescapeString(m[1])
		if _, err := parser.ParseFile(token.NewFileSet(), "sample.go", code, parser.AllErrors); err != nil {
			t.Errorf("%v in\n%s", err, code)
		}
	}
}
