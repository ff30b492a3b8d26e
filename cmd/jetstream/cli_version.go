package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is the program's version; releases set it with
// -ldflags "-X main.version=...".
var version = "0.1.0"

// revision returns the source revision that the program was built from, with a
// + when the tree had uncommitted changes; "unknown" outside a checkout.
func revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	rev, changed := "unknown", false
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			rev = s.Value
		case "vcs.modified":
			changed = s.Value == "true"
		}
	}
	if changed {
		rev += "+"
	}
	return rev
}

type versionCmd struct{}

// Run prints version, revision and the Go version that built the program.
func (*versionCmd) Run(p *program) error {
	_, err := fmt.Fprintf(p.Stdout, "jetstream %s\nrevision  %s\ngo        %s %s/%s\n",
		version, revision(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
