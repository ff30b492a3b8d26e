package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"

	"jetstream/internal/client"
	"jetstream/internal/demo"
	"jetstream/internal/server"
	"jetstream/internal/terminal"
	"jetstream/internal/watch"
)

// demoCmd is jetstream demo.
type demoCmd struct {
	Source string `type:"path" default:"." placeholder:"DIR" help:"Tree to transfer (the working directory)."`
	Size   int64  `name:"size" default:"64" placeholder:"MIB" help:"Size of the extra file of random bytes, in MiB (64)."`
}

// Run shows the demonstration; KEEP=1 leaves its servers running until an
// interrupt.
func (c *demoCmd) Run(ctx context.Context, p *program) error {
	if runtime.GOOS == "windows" {
		return errors.New("the demonstration's trigger scripts are written for a Unix shell; run it on Linux or macOS")
	}
	if c.Size < 1 || c.Size > 4096 {
		return usagef("--size must be 1 to 4096 MiB")
	}
	binary, err := os.Executable()
	if err != nil {
		return err
	}
	keep := p.Getenv("KEEP")
	return demo.Run(ctx, demo.Options{
		Source: c.Source, Size: c.Size << 20, Keep: keep != "" && keep != "0", Binary: binary,
		Server: server.Options{Environ: p.Environ, Path: p.Getenv("PATH"), Version: version, Revision: revision()},
		Say:    func(line string) { _, _ = fmt.Fprintln(p.Stdout, terminal.Printable(line)) },
		Watch: func(conn *client.Client, label string) demo.Watcher {
			return &watch.Watcher{Conn: conn, Stdout: p.Stdout, Stderr: p.Stderr, Label: label}
		},
	})
}
