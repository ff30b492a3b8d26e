package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSetupAsks at a terminal, and makes nothing before the last answer.
func TestSetupAsks(t *testing.T) {
	base := t.TempDir()
	conf, state := filepath.Join(base, "etc", "server.conf"), filepath.Join(base, "state")
	args := []string{"setup", "--config", conf, "--persistent-state-dir", state}
	answers := [][2]string{
		{"others reach this machine by [", "site-a"},
		{"Receive transfers from other machines? [Y/n]: ", "n"},
		{"Offer the control API and the page to other machines", ""},
		{"Directory of the trigger scripts [" + filepath.Join(base, "triggers") + "]: ", ""},
		{"Name of the superuser [admin]: ", "boss"},
		{"Name of the first user [", "joe"},
		{"Directory of the files of joe [" + filepath.Join(base, "files", "joe") + "]: ", filepath.Join(base, "media")},
		{"Password of boss: ", "s3cret"},
		{"Again: ", "s3cret"},
		{"Password of joe: ", "other"},
	}
	for _, last := range []string{"wrong", "other"} {
		person, terminal := openTerminal(t)
		asked, ended := atTerminal(t.Context(), terminal, args...)
		for _, a := range answers {
			asked.await(t, a[0])
			asked.seen = "" // "Again" comes twice
			fmt.Fprintln(person, a[1])
		}
		asked.await(t, "Again: ")
		if _, err := os.Lstat(filepath.Dir(conf)); err == nil {
			t.Error("the configuration is made before all is answered")
		}
		fmt.Fprintln(person, last)
		code, said := <-ended, asked.all()
		if done := last == "other"; done != (code == exitDone) || strings.Contains(said, "cret") {
			t.Errorf("%s: exit %d: %s", last, code, said)
		}
	}
	text := read(t, conf)
	for _, line := range []string{"external-address site-a", "recv-host 127.0.0.1", "api-host 127.0.0.1", "trigger-dir " + filepath.Join(base, "triggers")} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("%s is missing in\n%s", line, text)
		}
	}
	if strings.Contains(text, "tls-cert") {
		t.Errorf("a certificate for this machine alone:\n%s", text)
	}
	if users := jetstream(t, nil, "", "user", "--persistent-state-dir", state, "list"); !strings.Contains(users.stdout, "boss") || !strings.Contains(users.stdout, "joe") || !strings.Contains(users.stdout, filepath.Join(base, "media")) {
		t.Errorf("%+v", users)
	}
	if _, err := os.Stat(filepath.Join(state, passwordsFile)); err == nil {
		t.Error("the passwords that were typed are kept")
	}
}
