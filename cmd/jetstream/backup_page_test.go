//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestBackupPage carries out every block of docs/backup.md, in its order, as TestReadme
// does with README.md; systemctl is played.
func TestBackupPage(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	h := newReadmeHost(t, dir)
	if err := os.MkdirAll(filepath.Join(dir, "srv", "backup"), 0o700); err != nil {
		t.Fatal(err)
	}
	h.run("jetstream user add alice --superuser")
	serve := func() { h.serve("jetstream server --recv-host 127.0.0.1") }
	serve()
	out, lines := "", 0
	for _, b := range readmeBlocks(t, filepath.Join("docs", "backup.md")) {
		for _, line := range b.lines {
			lines++
			line = cronTime.ReplaceAllString(strings.TrimSpace(line), "")
			switch {
			case line == "systemctl stop jetstream":
				h.cut()
			case line == "systemctl start jetstream":
				serve()
			case strings.HasSuffix(line, ".schema-29"): // of an upgrade that was not
				h.cut()
				h.run("tar -xOf /srv/backup/monday.tar jetstream.db > " + strings.Fields(line)[3])
				out += h.run(line)
			default:
				out += h.run(line)
			}
		}
	}
	if lines < 15 {
		t.Errorf("docs/backup.md has %d lines to type", lines)
	}
	for text, times := range map[string]int{"backup of server": 3, "is restored: server": 3, "replaced-": 3, "The server has the new key": 1} {
		if n := strings.Count(out, text); n < times {
			t.Errorf("%q is printed %d times of %d:\n%s", text, n, times, out)
		}
	}
	for _, name := range []string{"monday.tar", "monday.tar.gz", time.Now().Format(time.DateOnly) + ".tar"} {
		if _, err := os.Stat(filepath.Join(dir, "srv", "backup", name)); err != nil {
			t.Error(err)
		}
	}
}
