package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is the program's version; releases set it with
// -ldflags "-X main.version=...".
var version = "0.1.0"

// commit is the source revision, set by make build with
// -ldflags "-X main.commit=...": go run and -buildvcs=false write none.
var commit string //nolint:gochecknoglobals // the linker sets it

// revision returns the source revision that the program was built from, with a
// + when the tree had uncommitted changes; of a module that go install has
// fetched, its version; "unknown" outside a checkout.
func revision() string {
	if commit != "" {
		return commit
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	rev, changed := "unknown", false
	if info.Main.Version != "" && info.Main.Version != "(devel)" {
		rev = info.Main.Version
	}
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
