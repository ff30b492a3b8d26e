package main

import (
	"context"
	"errors"
	"os"
	"slices"

	"jetstream/internal/api"
	"jetstream/internal/terminal"
	"jetstream/internal/transfer/digest"
)

// digestCmd is jetstream digest.
type digestCmd struct {
	Digest string   `name:"digest" enum:"xxh3-128,blake3,sha256" default:"xxh3-128" placeholder:"NAME" help:"xxh3-128, blake3 or sha256 (xxh3-128)."`
	JSON   bool     `name:"json" help:"Print one JSON object: the algorithm, and path, size and digest of each file."`
	Files  []string `arg:"" name:"file" help:"Files of this machine."`
}

// Help says what the digests are.
func (c *digestCmd) Help() string {
	return `A line for each file: its digest, two spaces, its name. blake3 is what b3sum
prints, sha256 what sha256sum prints. xxh3-128 finds errors, not forgeries; of a
file of at most 1 MiB it is what xxhsum -H2 prints, of a larger one the same of
the digests of its pieces of 1 MiB, 16 bytes each.

Exit status 1 means that a file could not be read; the others are printed.`
}

// digested is a file in the output of jetstream digest.
type digested struct {
	Path       string `json:"path"`
	PathBase64 string `json:"pathBase64,omitempty"`
	Size       int64  `json:"size"`
	Digest     string `json:"digest"`
}

// Run prints the digests.
func (c *digestCmd) Run(ctx context.Context, p *program) error {
	algorithm, err := digest.Parse(c.Digest)
	if err != nil {
		return usagef("--digest: %v", err)
	}
	if slices.Contains(c.Files, "") {
		return usagef("a FILE is empty")
	}
	failed := false
	files := []digested{}
	for _, name := range c.Files {
		file, err := digestFile(ctx, algorithm, name)
		switch {
		case ctx.Err() != nil:
			return errors.New("interrupted")
		case err != nil:
			failed = true
			_, err = terminal.Fprintf(p.Stderr, "jetstream: %v\n", err)
		case c.JSON:
			files = append(files, file)
		default:
			_, err = terminal.Fprintf(p.Stdout, "%s  %s\n", file.Digest, file.Path)
		}
		if err != nil {
			return err
		}
	}
	if c.JSON {
		b, err := api.Marshal(struct {
			Algorithm digest.Algorithm `json:"algorithm"`
			Files     []digested       `json:"files"`
		}{algorithm, files})
		if err == nil {
			err = p.printJSON(b)
		}
		if err != nil {
			return err
		}
	}
	if failed {
		return errQuiet
	}
	return nil
}

// digestFile returns when the file is read or ctx is cancelled: opening and reading
// may wait without end, for a named pipe or a server of files.
func digestFile(ctx context.Context, algorithm digest.Algorithm, name string) (digested, error) {
	out := digested{Path: name, PathBase64: api.Base64Unless(name)}
	done := make(chan error, 1)
	go func() {
		f, err := os.Open(name)
		if err == nil {
			out.Digest, out.Size, err = digest.Of(algorithm, f)
			f.Close()
		}
		done <- err
	}()
	select {
	case err := <-done:
		return out, err
	case <-ctx.Done():
		return digested{}, ctx.Err()
	}
}
