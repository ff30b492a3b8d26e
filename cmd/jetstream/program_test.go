package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes this test binary a jetstream program as well: called by that
// name it is one, so that tests run the real thing from outside.
func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"jetstream": main}) }
