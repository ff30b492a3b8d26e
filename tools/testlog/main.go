// Command testlog runs go test with its arguments and prints as it goes: each
// package when it ends, now and then how many tests a long one has behind it,
// the output of tests that fail, and why tests were skipped. go test alone
// prints the packages in their order, so that the first slow one holds all
// others back, and says nothing of skipped tests.
//
// Its exit status is that of go test.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

func main() {
	cmd := exec.CommandContext(context.Background(), "go", append([]string{"test", "-json"}, os.Args[1:]...)...) //nolint:gosec // what the Makefile gives
	cmd.Stderr = os.Stderr
	events, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "testlog:", err)
		os.Exit(1)
	}
	l := newLog(os.Stdout, time.Now)
	if err := l.follow(events); err != nil {
		fmt.Fprintln(os.Stderr, "testlog:", err)
	}
	err = cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		os.Exit(max(exit.ExitCode(), 1))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "testlog:", err)
		os.Exit(1)
	}
}

// quiet is how long nothing is printed at most while tests end.
const quiet = 10 * time.Second

// event is a line of go test -json, see go doc test2json.
type event struct {
	Action, Package, Test, Output string
}

// log prints what of the events people want to see.
type log struct {
	out  io.Writer
	now  func() time.Time
	last time.Time // when something was printed
	// output is what a running test has written, its subtests in their order
	// included, by package and top-level test.
	output map[string]*strings.Builder
	done   map[string]int // top-level tests that have ended, by package
}

func newLog(out io.Writer, now func() time.Time) *log {
	return &log{out: out, now: now, last: now(), output: map[string]*strings.Builder{}, done: map[string]int{}}
}

// follow prints the events until their end.
func (l *log) follow(events io.Reader) error {
	r := bufio.NewReader(events)
	for {
		line, err := r.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil { // of go itself
				e = event{Action: "build-output", Output: string(line)}
			}
			l.show(e)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (l *log) show(e event) {
	top, sub, _ := strings.Cut(e.Test, "/")
	key := e.Package + " " + top
	switch e.Action {
	case "build-output":
		l.print(e.Output)
	case "output":
		switch {
		case top == "" && e.Output != "PASS\n":
			l.print(e.Output)
		case top != "" && !strings.HasPrefix(e.Output, "=== "):
			if l.output[key] == nil {
				l.output[key] = &strings.Builder{}
			}
			l.output[key].WriteString(e.Output)
		}
	case "pass", "fail", "skip":
		if top == "" || sub != "" {
			return
		}
		l.done[e.Package]++
		text := l.output[key]
		delete(l.output, key)
		if text != nil && (e.Action == "fail" || strings.Contains(text.String(), "--- SKIP")) {
			l.print(text.String())
		}
		if l.now().Sub(l.last) > quiet {
			l.print(fmt.Sprintf("    \t%s: %d tests have ended, the last is %s\n", e.Package, l.done[e.Package], top))
		}
	}
}

func (l *log) print(text string) {
	l.last = l.now()
	_, _ = io.WriteString(l.out, text)
}
