// Command snapshot makes the files of a release below dist: an archive with an SBOM for
// each platform, an OCI image, and the checksums of all. The same commit gives the same
// bytes with the same Go. `make snapshot` runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"
)

// release is what the files are made from.
type release struct {
	root, out       string
	version, commit string
	time            time.Time // of every file in what is made
	suite           string
	stdout, stderr  io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "snapshot:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	r := &release{root: ".", stdout: stdout, stderr: stderr}
	flags := flag.NewFlagSet("snapshot", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&r.out, "out", "dist", "directory for what is made")
	flags.StringVar(&r.version, "version", "", "version of the program")
	flags.StringVar(&r.commit, "commit", "", "commit it is built from")
	flags.StringVar(&r.suite, "suite", "trixie", "Debian that the image is based on")
	epoch := flags.Int64("epoch", -1, "time of all files, in seconds since 1970: that of the commit")
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: snapshot FLAGS archives | image | sums")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	if r.version == "" || strings.ContainsAny(r.version, "/ ") {
		return fmt.Errorf("-version %q is no version that can be part of a file name", r.version)
	}
	if *epoch < 0 {
		return errors.New("there is no commit whose time the files could have: set SOURCE_DATE_EPOCH")
	}
	r.time = time.Unix(*epoch, 0).UTC()
	if err := os.MkdirAll(r.out, 0o755); err != nil { //nolint:gosec // for everybody
		return err
	}
	switch strings.Join(flags.Args(), " ") {
	case "archives":
		return r.archives(ctx)
	case "image":
		return r.image(ctx)
	case "sums":
		return r.sums()
	}
	flags.Usage()
	return errors.New("say what to make: archives, image or sums")
}

// write writes a file below the output directory and prints its name.
func (r *release) write(name string, content []byte) error {
	path := filepath.Join(r.out, name)
	if err := os.WriteFile(path, content, 0o644); err != nil { //nolint:gosec // for everybody
		return err
	}
	fmt.Fprintf(r.stdout, "%s  %.1f MB\n", path, float64(len(content))/1e6)
	return nil
}
