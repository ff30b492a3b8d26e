package main

import (
	"context"
	"errors"
	"fmt"

	"jetstream/internal/client"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/filter"
)

// filterFlags are the flags that choose what is sent.
type filterFlags struct {
	Include   []string `sep:"none" placeholder:"PATTERN" help:"Send what matches the pattern, whatever --exclude says; repeatable."`
	Exclude   []string `sep:"none" placeholder:"PATTERN" help:"Leave out what matches the pattern, as rsync does, with all that is in it; repeatable. *.tmp is a name anywhere, /reel/tmp a path from the top, tmp/ a directory; ** also stands for /."`
	FilesFrom string   `name:"files-from" placeholder:"FILE" help:"Send what the lines of FILE name, - for standard input, in place of SOURCE: paths from the working directory, which they keep at the receiver."`
	From0     bool     `name:"from0" help:"The names in the file of --files-from end in a NUL byte, as those of find -print0."`
}

// check checks the flags and the number of sources.
func (f *filterFlags) check(sources int) error {
	if _, err := filter.New(f.Include, f.Exclude); err != nil {
		return usagef("%v", err)
	}
	switch {
	case f.FilesFrom == "" && f.From0:
		return usagef("--from0 is about the file of --files-from, which is missing")
	case f.FilesFrom == "" && sources == 0:
		return usagef("send needs a SOURCE and a destination: jetstream send SOURCE... [USER@]HOST[:PORT]:/PATH")
	case f.FilesFrom != "" && sources != 0:
		return usagef("give either a SOURCE or --files-from, not both: write the SOURCE into the list")
	}
	return nil
}

// mappings returns the fileMappings and a name of them for display.
func (f *filterFlags) mappings(p *program, sources []string, sandbox string, mayMiss bool) (mappings map[string]string, shown string, err error) {
	if f.FilesFrom == "" {
		mappings, err = mapSources(sources, sandbox)
		return mappings, label(sources), err
	}
	return f.readList(p, sandbox, mayMiss)
}

// manifest returns the parameters of a manifest beside the fileMappings.
func (f *filterFlags) manifest(onError string) map[string]any {
	parameters := map[string]any{"onError": onError}
	if len(f.Include) > 0 {
		parameters["include"] = f.Include
	}
	if len(f.Exclude) > 0 {
		parameters["exclude"] = f.Exclude
	}
	return parameters
}

// nothingLeft returns an error, and removes the manifest, if the filter has left out
// everything.
func (f *filterFlags) nothingLeft(ctx context.Context, conn *client.Client, m transfer.Manifest) error {
	if len(f.Exclude) == 0 || m.TotalFiles == nil || *m.TotalFiles > 0 {
		return nil
	}
	id := map[string]any{"manifestId": m.ManifestID}
	list, err := client.As[struct {
		Files []any `json:"files"`
	}](conn.Call(ctx, "send.getManifestFiles", id)) // also has empty directories
	if err != nil || len(list.Files) > 0 {
		return err
	}
	if _, err := conn.Call(ctx, "send.deleteManifest", id); err != nil {
		return err
	}
	return errors.New("nothing to send: all was left out by --exclude, whose patterns are also compared with the name of a SOURCE itself")
}

// unread adds to the outcome of a command that entries could not be read.
func unread(m transfer.Manifest, err error) error {
	if err != nil || m.ReadErrors == 0 {
		return err
	}
	return fmt.Errorf("entries that could not be read and were left out: %d; jetstream api send.getManifestFiles --manifestId %s --skipped=true names them",
		m.ReadErrors, m.ManifestID)
}
