package main

import (
	"io"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// TestLoginAsksForUserAndPassword types both at a real terminal.
func TestLoginAsksForUserAndPassword(t *testing.T) {
	l := newLive(t)
	l.start()
	person, terminal := openTerminal(t)
	env := map[string]string{"JETSTREAM_API_HOST": l.host, "JETSTREAM_API_PORT": strconv.Itoa(l.apiPort), "XDG_CONFIG_HOME": t.TempDir(),
		"APPDATA": t.TempDir()}
	getenv := func(name string) string { return env[name] }
	asked, ended := &prompts{written: make(chan string, 64)}, make(chan int, 1)
	go func() { ended <- run(t.Context(), []string{"login"}, getenv, terminal, io.Discard, asked) }()
	asked.await(t, "User: ")
	if !echoes(t, terminal) {
		t.Error("the name is asked for like a secret")
	}
	write := func(text string) {
		if _, err := person.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	write("alice\n")
	asked.await(t, "Password of alice: ")
	if echoes(t, terminal) {
		t.Error("the password would be seen")
	}
	write(testPassword + "\r")
	if code := <-ended; code != 0 {
		t.Fatalf("exit status %d: %s", code, asked.all())
	}
	files, err := filepath.Glob(filepath.Join(env["XDG_CONFIG_HOME"], "jetstream", "logins", "*.json"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v %q", err, files)
	}
	if info, err := os.Stat(files[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", err, info)
	}
	if code := run(t.Context(), []string{"api", "send.getTransfers"}, getenv, nil, io.Discard, asked); code != 0 {
		t.Errorf("exit status %d: %s", code, asked.all())
	}
}
