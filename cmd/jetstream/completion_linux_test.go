package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// shellPath returns where a shell is. Without it the test is skipped, and fails in CI.
func shellPath(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("there is no %s: .ci/run installs it", name)
	}
	t.Skipf("SKIPPED: there is no %s here: its completion is not tried", name)
	return ""
}

// TestCompletionInShells completes in the shells themselves: commands, values of flags,
// ids and receivers of a server that runs, and files.
func TestCompletionInShells(t *testing.T) {
	p := newPair(t)
	id, program := p.transfer(), programFile(t)
	env := append(os.Environ(), "PATH="+filepath.Dir(program)+":"+os.Getenv("PATH"), "HOME="+filepath.Dir(program), "TERM=dumb", "LC_ALL=C",
		"JETSTREAM_API_HOST="+p.from.host, "JETSTREAM_API_PORT="+strconv.Itoa(p.from.apiPort), "JETSTREAM_API_USER=alice", "JETSTREAM_API_PASSWORD="+p.from.password)
	receiver := fmt.Sprintf("bob@127.0.0.1:%d:", p.to.recvPort)

	typed := func(t *testing.T, shell *exec.Cmd, begin, described string) {
		w := watchShell(t, shell, p.from.files, env)
		w.typeLine("PS1='rea''dy> '; " + begin + "\n")
		w.await(t, 0, `ready> `)
		for _, c := range []struct{ line, want string }{
			{"jetstream transfers wat\t", `transfers watch `},
			{"jetstream transfers watch \t", shortID(id) + described},
			{"jetstream transfers watch " + id[:20] + "\t", id},
			{"jetstream send x bo\t", regexp.QuoteMeta(receiver)},
			{"jetstream send x " + receiver + "\t", regexp.QuoteMeta(receiver)},
			{"jetstream api createTransfer --conflict=sk\t", `--conflict=skip `},
			{"jetstream api createTransfer --conflict sk\t", `--conflict skip `},
			{"jetstream send ./re\t", `send \./reel/`},
			{"jetstream server --trigger-dir=re\t", `--trigger-dir=reel/`},
			{"~/jetstream transfers wat\t", `transfers watch `},
		} {
			// The program gives a server two seconds, which may be too little here.
			for attempt := 0; ; attempt++ {
				from := len(w.String())
				w.typeLine(c.line)
				found, _ := w.awaitWithin(5*time.Second, from, c.want)
				w.typeLine("\x15") // forget the line
				if found {
					break
				}
				if attempt == 4 {
					t.Fatalf("%q is completed to %q, want %s", c.line, w.String()[from:], c.want)
				}
			}
		}
	}
	t.Run("zsh", func(t *testing.T) {
		typed(t, exec.Command(shellPath(t, "zsh"), "-f", "-i"), "autoload -U compinit; compinit -u -D; source <(jetstream completion zsh)",
			` +-- complete, 100 % of what goes to 127\.0\.0\.1`)
	})
	t.Run("bash", func(t *testing.T) {
		typed(t, exec.Command(shellPath(t, "bash"), "--norc", "-i"), "bind 'set show-all-if-ambiguous on'; source <(jetstream completion bash)", "")
	})
	t.Run("fish", func(t *testing.T) {
		script := "jetstream completion fish | source\n"
		cases := []struct{ line, want string }{
			{"jetstream transfers wat", "watch\tWatch a transfer to its end."},
			{"jetstream transfers watch ", shortID(id) + "\tcomplete, 100 % of what goes to 127.0.0.1"},
			{"jetstream transfers watch " + id[:20], id + "\tcomplete"},
			{"jetstream send x bo", receiver + "\tlast /in"},
			{"jetstream api createTransfer --conflict=sk", "--conflict=skip\n"},
			{"jetstream api createTransfer --conflict sk", "skip\n"},
			{"jetstream send ./re", "./reel/\n"},
			{"jetstream server --trigger-dir=re", "--trigger-dir=reel/\n"},
			{"~/jetstream transfers wat", "watch\t"},
		}
		for _, c := range cases {
			script += "echo '= " + c.line + "'; complete -C '" + c.line + "'\n"
		}
		fish := shellPath(t, "fish")
		var fault string
		for range 4 {
			cmd := exec.Command(fish, "-c", script)
			cmd.Env, cmd.Dir = env, p.from.files
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			fault = ""
			for _, c := range cases {
				_, after, _ := strings.Cut(string(out), "= "+c.line+"\n")
				if found, _, _ := strings.Cut(after, "\n= "); !strings.Contains(found+"\n", c.want) {
					fault += fmt.Sprintf("%q is completed to %q, want %q\n", c.line, found, c.want)
				}
			}
			if fault == "" {
				return
			}
		}
		t.Error(fault)
	})
}

// watchShell starts a shell at a terminal of its own.
func watchShell(t *testing.T, shell *exec.Cmd, dir string, env []string) *watched {
	t.Helper()
	person, program := openTerminal(t)
	w := &watched{screenText: &screenText{changed: make(chan struct{}, 1)}, t: t, person: person, cmd: shell}
	w.resize(150)
	shell.Env, shell.Dir = env, dir
	shell.Stdin, shell.Stdout, shell.Stderr, shell.SysProcAttr = program, program, program, onTerminal(program)
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	_ = program.Close()
	go func() { _, _ = io.Copy(w, person) }()
	t.Cleanup(func() {
		_ = shell.Process.Kill()
		_ = shell.Wait()
	})
	return w
}

// typeLine types a text.
func (w *watched) typeLine(text string) {
	w.t.Helper()
	if _, err := io.WriteString(w.person, text); err != nil {
		w.t.Fatal(err)
	}
}
