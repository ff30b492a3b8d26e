package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every setting may stand in the file, and the commands that look for the state of
// the server find it there.
func TestConfigurationFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "server.conf")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	env := map[string]string{"JETSTREAM_SERVER_CONFIG": file}
	write("")
	all := jetstream(t, env, "", "server", "--check")
	if all.code != exitDone {
		t.Fatalf("an empty file: %+v", all)
	}
	var text strings.Builder
	for line := range strings.Lines(all.stdout) {
		if f := strings.Fields(line); len(f) > 2 && f[len(f)-1] == "default" && f[1] != "-" {
			text.WriteString(f[0] + " " + f[1] + "\n")
		}
	}
	if n := strings.Count(text.String(), "\n"); n < 20 {
		t.Fatalf("%d settings have a default:\n%s", n, all.stdout)
	}
	write("\ufeff" + strings.ReplaceAll(text.String(), "\n", "\r\n"))
	if got := jetstream(t, env, "", "server", "--check"); got.code != exitDone || strings.Count(got.stdout, file) != strings.Count(text.String(), "\n") {
		t.Errorf("every default in the file: %+v", got)
	}

	state := filepath.Join(dir, "state")
	write("persistent-state-dir " + state + "\n")
	if got := jetstream(t, env, "correct horse battery\n", "user", "add", "alice", "--password-stdin"); got.code != exitDone {
		t.Fatalf("user add: %+v", got)
	}
	if _, err := os.Stat(filepath.Join(state, "jetstream.db")); err != nil {
		t.Errorf("the user is elsewhere: %v", err)
	}

	write("lanes 4\xff\n")
	if got := jetstream(t, env, "", "server", "--check"); got.code != exitUsage || !strings.Contains(got.stderr, "it is not UTF-8") {
		t.Errorf("bytes that are no text: %+v", got)
	}
	write(strings.Repeat("#\n", maxConfig/2+1))
	if got := jetstream(t, env, "", "server", "--check"); got.code != exitUsage || !strings.Contains(got.stderr, "it has more than") {
		t.Errorf("a large file: %+v", got)
	}
	unreadable := filepath.Join(dir, "directory")
	if err := os.Mkdir(unreadable, 0o700); err != nil {
		t.Fatal(err)
	}
	if got := jetstream(t, nil, "", "server", "--config", unreadable); got.code != exitUsage || !strings.Contains(got.stderr, "cannot be read: is a directory") {
		t.Errorf("a directory: %+v", got)
	}
}
