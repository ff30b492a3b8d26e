package main

import (
	"bytes"
	"flag"
	"os"
	"testing"

	"jetstream/internal/server"
)

var update = flag.Bool("update", false, "write the generated files anew instead of comparing them")

// TestOpenAPIDocumentIsFresh holds that the committed document is what the
// declarations say; `make generate` writes it.
func TestOpenAPIDocumentIsFresh(t *testing.T) {
	const path = "../../openapi/openapi.json"
	fresh, err := server.OpenAPIDocument(version)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(path, fresh, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	committed, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; run `make generate`", err)
	}
	committed = bytes.ReplaceAll(committed, []byte("\r\n"), []byte("\n")) // a checkout on Windows
	if !bytes.Equal(committed, fresh) {
		got, want := bytes.Split(committed, []byte("\n")), bytes.Split(fresh, []byte("\n"))
		line := 0
		for line < min(len(got), len(want))-1 && bytes.Equal(got[line], want[line]) {
			line++
		}
		t.Fatalf("%s is stale from line %d on; run `make generate`\nhas   %s\nwants %s", path, line+1, got[line], want[line])
	}
}
