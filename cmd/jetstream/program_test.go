package main

import (
	"fmt"
	"net/http"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

// TestMain makes this test binary a jetstream program as well: called by that
// name it is one, so that tests run the real thing from outside. A run that
// leaves goroutines behind fails.
func TestMain(m *testing.M) { testscript.Main(tidy{m}, map[string]func(){"jetstream": main}) }

type tidy struct{ m *testing.M }

// Run implements testscript.TestingM.
func (t tidy) Run() int {
	code := t.m.Run()
	http.DefaultClient.CloseIdleConnections()
	if err := goleak.Find(); err != nil && code == 0 {
		_, _ = fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}
