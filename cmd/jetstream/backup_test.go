//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"jetstream/internal/client"
	"jetstream/internal/store"
	"jetstream/internal/stream"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/wire"
	"jetstream/triggers"
)

// command runs jetstream in this process and returns what it printed; it must succeed.
func command(t *testing.T, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	if code := run(t.Context(), args, os.Getenv, strings.NewReader(""), &out, &errs); code != 0 {
		t.Fatalf("jetstream %q: %d %s", args, code, errs.String())
	}
	return out.String()
}

// TestBackupsUnderLoad are each of one moment: what belongs together, and is saved
// together, is all there or all absent.
func TestBackupsUnderLoad(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.from.script("send.destinationCreated", "#!/bin/sh\n")
	p.from.script("send.transferComplete", "#!/bin/sh\n")
	manifest, destination := p.manifest(), p.destination()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var load sync.WaitGroup
	busy := make(chan struct{}, 1) // holds a token when something was made
	for worker := range 3 {
		load.Go(func() {
			for i := 0; ctx.Err() == nil && i < 3000; i++ {
				command, params := "send.createDestination", map[string]any{"destinationAddress": "127.0.0.1", "destinationPort": 1 + worker*10_000 + i}
				if worker == 0 {
					command, params = "send.createTransfer", map[string]any{"manifestId": manifest, "destinationId": destination,
						"username": "bob", "password": testPassword, "destinationPath": fmt.Sprint("/", i)}
				}
				status, reply := p.from.rest("alice", "POST", "/api/v1/command", map[string]any{"request": command, "parameters": params})
				if status != 201 {
					t.Errorf("%s: %d %s", command, status, reply.Message)
					return
				}
				select {
				case busy <- struct{}{}:
				default:
				}
			}
		})
	}
	dir, made := t.TempDir(), 0
	for i := range 3 {
		for range 20 {
			<-busy
		}
		file := filepath.Join(dir, fmt.Sprint("backup", i))
		command(t, "backup", file, "--persistent-state-dir="+p.from.state)
		state := filepath.Join(dir, fmt.Sprint("state", i))
		command(t, "restore", file, "--persistent-state-dir="+state)
		if n := wantConsistent(t, state); n <= made {
			t.Errorf("backup %d has %d destinations, the one before %d", i, n, made)
		} else {
			made = n
		}
	}
	stop()
	load.Wait()
}

// wantConsistent compares the objects in a restored state directory with their trigger
// runs and with the event log, and returns how many destinations there are.
func wantConsistent(t *testing.T, state string) int {
	t.Helper()
	ctx := t.Context()
	db, err := store.Open(ctx, state)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	const all = 20_000
	destinations, err := db.Transfers().Destinations(ctx, transfer.Page{Limit: all})
	if err != nil {
		t.Fatal(err)
	}
	complete, err := db.Transfers().Transfers(ctx, transfer.Page{Limit: all, Status: transfer.StatusComplete})
	if err != nil {
		t.Fatal(err)
	}
	for event, n := range map[string]int{"send.destinationCreated": len(destinations), "send.transferComplete": len(complete)} {
		runs, _, err := db.Runs().Runs(ctx, triggers.Filter{Event: event, Limit: all})
		if err != nil || len(runs) != n {
			t.Errorf("%d objects have %d runs of %s (%v)", n, len(runs), event, err)
		}
	}
	newest, err := db.Entries().Newest(ctx)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := db.Entries().EntryPage(ctx, stream.PageQuery{All: true, Limit: all}, 1, newest+1)
	if err != nil {
		t.Fatal(err)
	}
	created := 0
	for i, e := range entries { // newest first
		if e.ID != newest-int64(i) {
			t.Fatalf("entry %d is number %d of %d", i, e.ID, newest)
		}
		if e.Type == "send.destinationCreated" {
			created++
		}
	}
	if created != len(destinations) {
		t.Errorf("%d destinations have %d entries", len(destinations), created)
	}
	return len(destinations)
}

// largeState makes a state directory with a database of so many bytes.
func largeState(t *testing.T, size int) string {
	t.Helper()
	dir := t.TempDir()
	if _, err := wire.LoadIdentity(dir); err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.SetMeta(t.Context(), "large", strings.Repeat("x", size)); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestKilledBackupHasNoName, wherever it is.
func TestKilledBackupHasNoName(t *testing.T) {
	t.Parallel()
	state, killed := largeState(t, 48<<20), 0
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for _, stage := range []string{"copy", "backup"} {
		dir := t.TempDir()
		file := filepath.Join(dir, "b")
		cmd := exec.Command(programFile(t), "backup", file, "--persistent-state-dir="+state)
		var errs bytes.Buffer
		cmd.Stderr = &errs
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(patience); ; <-look.C {
			if found, err := filepath.Glob(filepath.Join(dir, ".jetstream-backup-*", stage)); err != nil || len(found) > 0 {
				break
			}
			if _, err := os.Stat(file); err == nil {
				break // it was too fast
			}
			if time.Now().After(end) {
				t.Fatalf("there is no %s: %s", stage, errs.String())
			}
		}
		_ = cmd.Process.Kill()
		if err := cmd.Wait(); err != nil {
			killed++
			if _, err := os.Stat(file); err == nil {
				t.Errorf("the backup that was killed with its %s has its name", stage)
			}
		}
	}
	if killed == 0 {
		t.Error("no backup was killed")
	}
}

// TestRestoredTransfers: one that had logged in waits to be resumed and then arrives, one
// that had not fails, says what to do, and has its event, which waits like all others.
func TestRestoredTransfers(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	l := p.from
	l.script("send.transferFailed", "#!/bin/sh\n")
	if err := os.WriteFile(filepath.Join(l.files, "reel", "large"), bytes.Repeat([]byte("0123456789abcdef"), 1<<18), 0o600); err != nil {
		t.Fatal(err)
	}
	p.to.callAs("root", "updateBandwidthLimits", map[string]any{"incomingRateLimit": 1000})
	manifest := p.manifest()
	create := func(port int) any {
		d := l.call("send.createDestination", map[string]any{"destinationAddress": "127.0.0.1", "destinationPort": port})
		return l.call("send.createTransfer", map[string]any{"manifestId": manifest, "destinationId": d["destinationId"], "username": "bob",
			"password": testPassword, "compression": "none"})["transferId"]
	}
	under, waiting := create(p.to.recvPort), create(freePort(t))
	get := func(id any) map[string]any { return l.call("send.getTransfer", map[string]any{"transferId": id}) }
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for end := time.Now().Add(patience); get(under)["bytesSent"].(float64) == 0; <-look.C {
		if time.Now().After(end) {
			t.Fatalf("nothing is sent: %v", get(under))
		}
	}
	file := filepath.Join(t.TempDir(), "b")
	command(t, "backup", file, "--persistent-state-dir="+l.state)
	l.stop()
	out := command(t, "restore", file, "--replace", "--persistent-state-dir="+l.state)
	for _, want := range []string{"1 transfer that was being sent is suspended", "1 transfer has no remote password any more"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	l.start(l.flags...)
	failed := l.call("send.waitForTransfer", map[string]any{"transferId": waiting})
	if message := fmt.Sprint(failed["errorMessage"]); failed["status"] != "error" || !strings.Contains(message, "a backup holds none: send it again with jetstream transfers retry "+waiting.(string)) {
		t.Errorf("without a password: %v", failed)
	}
	runs := l.callAs("root", "getTriggerRuns", map[string]any{"event": "send.transferFailed"})["runs"].([]any)
	if len(runs) != 1 || runs[0].(map[string]any)["status"] != "queued" {
		t.Errorf("its event: %v", runs)
	}
	// Who follows the events goes on nowhere in the former numbers.
	if first := <-l.follow("root", client.EventOptions{After: new(int64(3))}); first.Type != "reset" {
		t.Errorf("a client of the event stream gets %+v", first)
	}
	suspended := get(under)
	if suspended["status"] != "suspended" || !strings.Contains(fmt.Sprint(suspended["errorMessage"]), "restored from a backup") {
		t.Errorf("with a ticket: %v", suspended)
	}
	p.to.callAs("root", "updateBandwidthLimits", map[string]any{"incomingRateLimit": 0})
	l.call("send.resumeTransfer", map[string]any{"transferId": under})
	if got := l.call("send.waitForTransfer", map[string]any{"transferId": under}); got["status"] != "complete" {
		t.Errorf("resumed: %v", got)
	}
}
