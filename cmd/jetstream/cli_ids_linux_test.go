package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"jetstream/handlers"
	"jetstream/internal/api"
	"jetstream/internal/store"
	"jetstream/internal/transfer"
)

// TestEveryIDHasItsList holds that an id which a command takes can be found by a part of
// it: the route above it is a list, newest first, whose entries have that id.
func TestEveryIDHasItsList(t *testing.T) {
	registry := handlers.Commands(handlers.Deps{})
	found := 0
	for _, c := range registry.All() {
		for _, f := range c.Params {
			if !strings.HasSuffix(f.Name, "Id") {
				continue
			}
			list, ok := idListOf(registry, c, f.Name)
			if !ok {
				if c.Method != "GET" || strings.Contains(c.Path, "/{"+f.Name+"}") {
					t.Errorf("%s: there is no list for %s", c.Name, f.Name)
				}
				continue
			}
			found++
			entries, ok := listOf(api.Fields(list.command.ResultType))
			if !ok || !strings.Contains(list.command.Summary, "newest first") {
				t.Errorf("%s: %s is no list, newest first", c.Name, list.command.Name)
				continue
			}
			has := false
			for _, field := range api.Fields(entries.Type.Elem()) {
				has = has || field.Name == f.Name
			}
			if !has {
				t.Errorf("%s: the entries of %s have no %s", c.Name, list.command.Name, f.Name)
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d parameters are ids", found)
	}
}

func TestAPartOfAnIDIsEnough(t *testing.T) {
	l := newLive(t)
	l.script("on.getServerInfo", "#!/bin/sh\n")
	l.start("--trigger-dir="+l.triggers, "--trigger-on-api", "--trigger-log")
	first := l.call("send.createDestination", map[string]any{"destinationAddress": "one.example"})["destinationId"].(string)
	second := l.call("send.createDestination", map[string]any{"destinationAddress": "two.example"})["destinationId"].(string)
	l.call("getServerInfo", nil)
	l.awaitRuns("on.getServerInfo", 1)
	token := l.callAs("root", "createAPIToken", map[string]any{"description": "a token"})["tokenId"].(string)
	run := l.callAs("root", "getTriggerRuns", map[string]any{"limit": 1})["runs"].([]any)[0].(map[string]any)["runId"].(string)

	for _, tt := range []struct {
		args []string
		want string
		code int
	}{
		{[]string{"send.getDestination", "--destinationId", shortID(first)}, `"one.example"`, 0},
		{[]string{"send.getDestination", "--destinationId", strings.ToUpper(shortID(first))}, `"one.example"`, 0},
		{[]string{"send.getDestination", "--destinationId", second[:20]}, `"two.example"`, 0},
		{[]string{"send.getDestination", "--destinationId", "last"}, `"two.example"`, 0},
		{[]string{"send.getDestination", "--destinationId", first[:4]}, first + " (one.example, 8887, 0)", exitUsage},
		{[]string{"send.getDestination", "--destinationId", "ffff"}, "no destination has an id that begins or ends with ffff", exitFailed},
		{[]string{"send.getDestination", "--destinationId", "abc"}, `"abc"`, exitFailed},
		{[]string{"send.updateDestination", "--destinationId", shortID(first), "--sendRateMax", "7"}, `"sendRateMax": 7`, 0},
		{[]string{"send.getTransfer", "--transferId", "last"}, "there are no transfers", exitFailed},
		{[]string{"getTriggerRun", "--runId", shortID(run)}, run, 0},
		{[]string{"getTriggerRuns", "--runId", shortID(run)}, run, 0},
		{[]string{"deleteAPIToken", "--tokenId", token[16:]}, "{}", 0},
	} {
		code, stdout, stderr := l.cli("root", tt.args...)
		if code != tt.code || !strings.Contains(stdout+stderr, tt.want) {
			t.Errorf("%q: exit %d, want %d and %q:\n%s%s", tt.args, code, tt.code, tt.want, stdout, stderr)
		}
	}
	for _, args := range [][]string{{"show", "last"}, {"show", shortID(run)}, {"retry", shortID(run)}} {
		if o := l.trigger(args...); o.code != 0 || !strings.Contains(o.stdout, "on.getServerInfo") {
			t.Errorf("trigger %q: %+v", args, o)
		}
	}
}

// atWidth runs a command whose standard output is a terminal of so many columns, and
// returns the lines that it prints there.
func atWidth(t *testing.T, columns uint16, env map[string]string, args ...string) []string {
	t.Helper()
	return onScreen(t, columns, func(screen *os.File) {
		if code := run(t.Context(), args, func(name string) string { return env[name] }, strings.NewReader(""), screen, screen); code != 0 {
			t.Errorf("%q: exit %d", args, code)
		}
	})
}

// onScreen returns the lines that show writes on a terminal of so many columns.
func onScreen(t *testing.T, columns uint16, show func(screen *os.File)) []string {
	t.Helper()
	person, program := openTerminal(t)
	if err := unix.IoctlSetWinsize(int(program.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}); err != nil {
		t.Fatal(err)
	}
	var shown bytes.Buffer
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(&shown, person) // ends with the error of a terminal that nobody has open
	}()
	show(program)
	if err := program.Close(); err != nil {
		t.Fatal(err)
	}
	<-read
	return strings.Split(strings.TrimSuffix(strings.ReplaceAll(shown.String(), "\r\n", "\n"), "\n"), "\n")
}

// TestTablesDoNotWrap holds that no line of a table is longer than the terminal is wide,
// whatever names the objects have, and that nothing is cut that need not be.
func TestTablesDoNotWrap(t *testing.T) {
	l := newLive(t)
	long := strings.Repeat("reel-ü-", 40)
	db, err := store.Open(t.Context(), l.state)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Transfers().Update(context.Background(), func(tx transfer.Tx) error {
		for i, status := range []transfer.Status{transfer.StatusSuspended, transfer.StatusError, transfer.StatusComplete} {
			ended := api.Now()
			if status.Processing() {
				ended = 0
			}
			x := &transfer.Transfer{
				Params:     transfer.Params{ManifestID: api.NewID(), DestinationID: api.NewID(), DestinationPath: "/" + long, Username: "bob", OnError: "stop", Conflict: "changed"},
				TransferID: api.NewID(), DestinationAddress: "site-" + strconv.Itoa(i) + "." + strings.Repeat("long.", 30) + "example", DestinationPort: 8887,
				Status: status, Processing: status.Processing(), TotalFiles: 12345678, TotalBytes: 1023 << 40, BytesSent: 1022 << 40,
				RequestTime: api.Now(), Owner: "alice", PublicKey: "key", RequestID: api.NewID(),
				EndTime:      ended,
				ErrorMessage: strings.Repeat("site-b does not answer; ", 20),
			}
			if err := tx.SaveTransfer(x); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	l.addUser(strings.Repeat("longname", 8), false)
	l.script("on.send.getManifestFiles", "#!/bin/sh\n")
	l.start("--trigger-dir="+l.triggers, "--trigger-on-api", "--trigger-log")
	l.call("send.createDestination", map[string]any{"destinationAddress": strings.Repeat("long.", 30) + "example"})
	env := map[string]string{
		"JETSTREAM_API_HOST": l.host, "JETSTREAM_API_PORT": strconv.Itoa(l.apiPort), "JETSTREAM_API_USER": "root", "JETSTREAM_API_PASSWORD": testPassword,
	}
	for _, columns := range []uint16{80, 120} {
		for _, args := range [][]string{
			{"transfers"}, {"transfers", "list", "--status", "error", "--owner", "alice"},
			{"trigger", "list", "--all"}, {"trigger", "runs"},
			{"api", "send.getTransfers", "--output", "table"}, {"api", "send.getTransfer", "--transferId", "last", "--output", "table"},
			{"api", "send.getDestinations", "--output", "table"}, {"api", "getUsers", "--output", "table"}, {"api", "getEventLog", "--output", "table"},
		} {
			lines := atWidth(t, columns, env, args...)
			longest := 0
			for _, line := range lines {
				longest = max(longest, utf8.RuneCountInString(line))
			}
			if longest > int(columns) {
				t.Errorf("%q at %d columns: a line has %d:\n%s", args, columns, longest, strings.Join(lines, "\n"))
			}
			if args[0] == "transfers" && longest != int(columns) {
				t.Errorf("%q at %d columns: the longest line has %d, though names are cut:\n%s", args, columns, longest, strings.Join(lines, "\n"))
			}
			if args[0] == "transfers" && !strings.Contains(lines[1], "100 %") && !strings.Contains(lines[1], "99 %") {
				t.Errorf("%q at %d columns: the percentage is missing: %s", args, columns, lines[1])
			}
		}
	}
}

// TestTransfersUnderWayFit holds that 80 columns have room for the longest values.
func TestTransfersUnderWayFit(t *testing.T) {
	eta := int64(45296)
	rows := []transferRow{
		{sent: true, id: api.NewID(), peer: "to site-b.example:/incoming/reels", status: transfer.StatusSuspended, processing: true, done: 1022 << 40, size: 1023 << 40, rate: 987400, eta: &eta, begin: api.TimeOf(time.Now().Add(-99 * day))},
		{id: api.NewID(), peer: "from 192.0.2.1 in /in", status: transfer.StatusCancelled, size: 5, begin: api.Now()},
	}
	lines := onScreen(t, 80, func(screen *os.File) {
		if err := (&transfersListCmd{}).table(&program{Stdout: screen, Stderr: screen}, rows); err != nil {
			t.Error(err)
		}
	})
	if len(lines) != 3 || len(lines[1]) > 80 || !strings.Contains(lines[1], " Mbit/s  12h34m  99d  to ") || !strings.HasSuffix(lines[1], "reels") ||
		!strings.HasPrefix(lines[1], shortID(rows[0].id)) || strings.Contains(lines[2], "from 192.0.2.1 in /in ") {
		t.Errorf("%d lines:\n%s", len(lines), strings.Join(lines, "\n"))
	}
}
