//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// testPassword is every user's at first: nothing but a leak brings it into a
// server's output.
const testPassword = "hush-Little-baby.42"

// secrets are the passwords, tokens and cookies that the servers of a test were
// told or have given, and what these servers have written. When the test ends
// and the server has stopped, nothing of the one may be in the other: not on the
// console, in a log file, in the database with its records and events, in what
// is spooled for scripts or what scripts wrote down of their arguments.
type secrets struct {
	dir string // holds state, scripts and files of the server

	mu       sync.Mutex
	known    map[string]bool
	kept     map[string]bool // paths that hold one by right
	consoles []*consoleText
	logs     []string
}

func newSecrets(dir string) *secrets {
	return &secrets{dir: dir, known: map[string]bool{}, kept: map[string]bool{}}
}

// shortSecret is too short to be looked for: it is in every text by chance.
const shortSecret = 8

// secret notes texts that the server must keep to itself.
func (s *secrets) secret(texts ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, text := range texts {
		if len(text) >= shortSecret {
			s.known[text] = true
		}
	}
}

// login notes a user's password, also in the form that HTTP sends it in.
func (s *secrets) login(user, password string) {
	if len(password) >= shortSecret {
		s.secret(password, strings.TrimPrefix(basic(user, password), "Basic "))
	}
}

// keeps notes files that hold a secret by right: what a test wrote into them.
func (s *secrets) keeps(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept[path] = true
}

// wrote notes where a server writes that starts now.
func (s *secrets) wrote(c *consoleText, flags []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.consoles = append(s.consoles, c)
	for _, flag := range flags {
		if path, ok := strings.CutPrefix(flag, "--log="); ok {
			s.logs = append(s.logs, path)
		}
	}
}

var tokenInReply = regexp.MustCompile(`"(jst\.[\w-]*\.[\w-]{43})"`)

// exchanged notes the passwords that a request carries and the tokens that its
// answer gives.
func (s *secrets) exchanged(request any, answer []byte) {
	var find func(any)
	find = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, value := range v {
				if text, ok := value.(string); ok && name == "password" {
					s.secret(text)
				}
				find(value)
			}
		case []any:
			for _, value := range v {
				find(value)
			}
		}
	}
	if text, err := json.Marshal(request); err == nil && bytes.Contains(text, []byte(`"password"`)) {
		var plain any
		if json.Unmarshal(text, &plain) == nil {
			find(plain)
		}
	}
	for _, m := range tokenInReply.FindAllSubmatch(answer, -1) {
		s.secret(string(m[1]))
	}
}

// in names the secrets that text holds, without repeating them.
func (s *secrets) in(what string, text []byte) (found []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, secret := range slices.Sorted(maps.Keys(s.known)) {
		if at := bytes.Index(text, []byte(secret)); at >= 0 {
			found = append(found, fmt.Sprintf("%s holds the secret %.4s... at byte %d, after %q", what, secret, at, text[max(0, at-80):at]))
		}
	}
	return found
}

// leaks searches all that the servers wrote.
func (s *secrets) leaks(t testing.TB) (found []string) {
	t.Helper()
	s.mu.Lock()
	consoles, logs := slices.Clone(s.consoles), slices.Clone(s.logs)
	s.mu.Unlock()
	for i, c := range consoles {
		found = append(found, s.in(fmt.Sprintf("console %d", i), []byte(c.String()))...)
	}
	search := func(path string) {
		text, err := os.ReadFile(path)
		if err != nil && !os.IsNotExist(err) {
			t.Error(err)
		}
		found = append(found, s.in(path, text)...)
		found = append(found, s.in("the name of "+path, []byte(path))...)
	}
	for _, path := range logs {
		search(path)
	}
	err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && !s.kept[path] {
			search(path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return found
}

// guard searches when the test ends. It is called before what else is to end
// then, so that the search comes last.
func (s *secrets) guard(t testing.TB) {
	t.Helper()
	if _, benchmark := t.(*testing.B); benchmark {
		return
	}
	t.Cleanup(func() {
		for _, leak := range s.leaks(t) {
			t.Error("LEAK: ", leak)
		}
	})
}

// TestSearchFindsWhatLeaks plants a secret in each place that is searched.
func TestSearchFindsWhatLeaks(t *testing.T) {
	l := newBare(t)
	log := filepath.Join(t.TempDir(), "server.log")
	// What is searched here is no part of what every test's end searches.
	planted := newSecrets(l.dir)
	l.secrets = planted
	l.addUser("alice", false)
	l.addUser("root", true)
	l.script("send.destinationCreated", "#!/bin/sh\nenv >> log.txt\nprintf '%s' \"$1\"\n")
	l.start("--trigger-dir="+l.triggers, "--log="+log, "--trigger-log")
	token := l.token("alice", "/", "read")
	if found := planted.leaks(t); len(found) > 0 || !planted.known[token] || !planted.known[testPassword] {
		t.Fatalf("before anything leaks: %q", found)
	}
	expect := func(what, where string) {
		t.Helper()
		found := planted.leaks(t)
		if !slices.ContainsFunc(found, func(f string) bool { return strings.Contains(f, where) }) {
			t.Errorf("%s: nothing is found in %s, but %q", what, where, found)
		}
		for _, f := range found {
			for secret := range planted.known {
				if strings.Contains(f, secret) {
					t.Errorf("the search itself shows a secret: %s", f)
				}
			}
		}
	}
	// A record of the database, and the events made of it.
	l.call("send.createDestination", map[string]any{"destinationAddress": "127.0.0.1", "userData": map[string]string{"note": "it is " + token}})
	expect("a token in a user's data", "jetstream.db")
	// A name that a caller makes up is in the log, with what stands in it.
	planted.secret("made-up-name")
	l.call("send.createDestination", map[string]any{"destinationAddress": "made-up-name"})
	l.awaitRuns("send.destinationCreated", 2)
	expect("what a script prints", "console")
	// What a script sees and writes down.
	if err := os.WriteFile(filepath.Join(l.triggers, "seen.txt"), []byte("Authorization: "+basic("alice", testPassword)), 0o600); err != nil {
		t.Fatal(err)
	}
	expect("the login as HTTP sends it", "seen.txt")
	planted.keeps(filepath.Join(l.triggers, "seen.txt"))
	// The log file.
	f, err := os.OpenFile(log, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString("password=" + testPassword)
	if err != nil || f.Close() != nil {
		t.Fatal(err)
	}
	expect("a password in the log file", "server.log")
	if found := planted.leaks(t); slices.ContainsFunc(found, func(f string) bool { return strings.Contains(f, "seen.txt") }) {
		t.Errorf("a file that holds it by right is reported: %q", found)
	}
}
