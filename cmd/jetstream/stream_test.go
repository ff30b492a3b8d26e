//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"jetstream/internal/client"
	"jetstream/internal/server"
)

// follow hands the events of a user's stream to a channel until the test ends.
func (l *live) follow(user string, o client.EventOptions) <-chan client.Event {
	l.t.Helper()
	c, err := client.New(client.Options{Host: l.host, Port: l.apiPort, User: user, Password: l.password})
	if err != nil {
		l.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	events, connected := make(chan client.Event, 4096), make(chan struct{}, 16)
	o.Connected = func() { connected <- struct{}{} }
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(events)
		_ = c.Events(ctx, o, func(e client.Event) error {
			events <- e
			return nil
		})
	})
	l.t.Cleanup(func() {
		cancel()
		wg.Wait()
		c.Close()
	})
	select {
	case <-connected:
	case <-time.After(time.Minute):
		l.t.Fatal("the event stream does not open")
	}
	return events
}

// until collects events up to the first that fits.
func (l *live) until(events <-chan client.Event, fits func(client.Event) bool) (got []client.Event) {
	l.t.Helper()
	limit := time.After(2 * time.Minute)
	for {
		select {
		case e, open := <-events:
			if !open {
				l.t.Fatalf("the stream ended after %d events", len(got))
			}
			if got = append(got, e); fits(e) {
				return got
			}
		case <-limit:
			l.t.Fatalf("what was waited for did not come after %v", got)
		}
	}
}

func ofType(typ string) func(client.Event) bool {
	return func(e client.Event) bool { return e.Type == typ }
}

func endOf(event string) func(client.Event) bool {
	return func(e client.Event) bool {
		return e.Type == "trigger.ended" && strings.Contains(string(e.Data), `"event":"`+event+`"`)
	}
}

// Every event comes to the stream and to its script, once, on both sides; a
// superuser sees every id without a gap, others what is theirs.
func TestEveryEventReachesStreamAndScript(t *testing.T) {
	p := newPair(t)
	for _, l := range []*live{p.from, p.to} {
		for _, event := range server.EventNames() {
			if !strings.HasPrefix(event, "on.") && event != "launch" {
				l.script(event, "#!/bin/sh\necho \"$JETSTREAM_EVENT $*\" >> log.txt\n")
			}
		}
	}
	zero := int64(0)
	sending, receiving := p.from.follow("root", client.EventOptions{After: &zero}), p.to.follow("root", client.EventOptions{After: &zero})
	alice, bob := p.from.follow("alice", client.EventOptions{After: &zero}), p.to.follow("bob", client.EventOptions{After: &zero})

	id := p.transfer()
	p.from.call("send.createDestination", map[string]any{"destinationAddress": "127.0.0.1", "destinationPort": p.to.recvPort, "sendRateMax": 5})
	wrong := p.from.call("send.createTransfer", map[string]any{
		"manifestId": p.manifest(), "destinationId": p.destination(), "username": "bob", "password": "a-wrong-guess", "destinationPath": "/in"})["transferId"].(string)
	if got := p.from.call("send.waitForTransfer", map[string]any{"transferId": wrong}); got["status"] != "error" {
		t.Fatalf("transfer: %v", got)
	}
	p.from.call("send.deleteDestination", map[string]any{"destinationId": p.destination(), "force": true})

	sent := p.from.until(sending, endOf("send.destinationDeleted"))
	received := p.to.until(receiving, endOf("recv.transferComplete"))
	count := func(name string, events []client.Event, want map[string]int) {
		t.Helper()
		got, last := map[string]int{}, int64(0)
		for _, e := range events {
			if e.ID != 0 {
				if e.ID != last+1 {
					t.Errorf("%s: id %d after %d", name, e.ID, last)
				}
				last = e.ID
			}
			if _, counted := want[e.Type]; counted {
				got[e.Type]++
			}
		}
		if !maps.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	count("sender", sent, map[string]int{"server.started": 1, "launch": 1, "send.destinationCreated": 1, "destination.updated": 1,
		"send.transferStarted": 1, "send.transferComplete": 1, "send.transferFailed": 1, "send.destinationDeleted": 1,
		"trigger.queued": 5, "trigger.started": 5, "trigger.ended": 5, "transfer.changed": 5})
	count("receiver", received, map[string]int{"server.started": 1, "launch": 1, "recv.transferStarted": 1, "recv.transferComplete": 1,
		"trigger.queued": 2, "trigger.started": 2, "trigger.ended": 2, "transfer.changed": 2})

	destination := fmt.Sprintf("127.0.0.1:%d 127.0.0.1:%d", p.to.recvPort, p.from.recvPort)
	for l, want := range map[*live][]string{
		p.from: {"send.destinationCreated " + destination, "send.transferStarted " + id + " bob", "send.transferComplete " + id + " bob",
			"send.transferFailed " + wrong + " bob " + fmt.Sprintf("user bob or its password was refused by 127.0.0.1:%d; make that user there, or give its present password or a token of it", p.to.recvPort),
			"send.destinationDeleted " + destination},
		p.to: {"recv.transferStarted " + id + " bob", "recv.transferComplete " + id + " bob"},
	} {
		if got := strings.Split(strings.TrimSpace(read(t, filepath.Join(l.triggers, "log.txt"))), "\n"); !slices.Equal(got, want) {
			t.Errorf("scripts: %q, want %q", got, want)
		}
	}
	for name, events := range map[string][]client.Event{
		"alice": p.from.until(alice, ofType("send.destinationDeleted")), "bob": p.to.until(bob, endOf("recv.transferComplete")),
	} {
		for _, e := range events {
			var data struct{ User string }
			if err := json.Unmarshal(e.Data, &data); err != nil || data.User != name {
				t.Errorf("%s sees %s %s", name, e.Type, e.Data)
			}
		}
	}
}

// A client that was cut off by a restart goes on where it was, and hears of
// both ends of the gap.
func TestStreamGoesOnOverARestart(t *testing.T) {
	l := newLive(t)
	l.start()
	events := l.follow("root", client.EventOptions{})
	l.call("send.createDestination", map[string]any{"destinationAddress": "127.0.0.1", "destinationPort": 1001})
	port := strconv.Itoa(l.apiPort)
	first := l.until(events, ofType("send.destinationCreated"))
	last := first[len(first)-1].ID
	if code := l.stop(); code != 0 {
		t.Fatalf("exit status %d:\n%s", code, l.console)
	}
	l.start("--api-port=" + port)
	got := l.until(events, ofType("launch"))
	var names []string
	for i, e := range got {
		names = append(names, e.Type)
		if e.ID != last+1+int64(i) {
			t.Errorf("event %d has id %d, want %d", i, e.ID, last+1+int64(i))
		}
	}
	if want := []string{"audit", "server.stopping", "server.started", "launch"}; !slices.Equal(names, want) {
		t.Errorf("over the restart came %v, want %v", names, want)
	}
}

// A user that was disabled hears nothing more.
func TestStreamEndsForADisabledUser(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("waits for the account to be looked at again, 5 s")
	}
	l := newLive(t)
	l.start()
	c, err := client.New(client.Options{Host: l.host, Port: l.apiPort, User: "alice", Password: testPassword})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ended, connected := make(chan error, 1), make(chan struct{}, 16)
	go func() {
		ended <- c.Events(t.Context(), client.EventOptions{Connected: func() { connected <- struct{}{} }}, func(client.Event) error { return nil })
	}()
	<-connected
	l.callAs("root", "updateUser", map[string]any{"name": "alice", "disabled": true})
	select {
	case err := <-ended: // disconnected, came again, was refused
		if err == nil || !strings.Contains(err.Error(), "disabled") {
			t.Errorf("the stream ended with %v", err)
		}
	case <-time.After(time.Minute):
		t.Error("the stream goes on")
	}
}

// tail shows what a script writes while it runs, and ends well on Ctrl-C.
func TestTriggerTail(t *testing.T) {
	l := newLive(t)
	wait, open := gate(t)
	wait = wait[strings.Index(wait, "read line"):]
	l.script("send.destinationCreated", "#!/bin/sh\necho before $1\nprintf 'no \\033[31mred' >&2\n"+wait+"echo after\nexit 3\n")
	l.start("--trigger-dir=" + l.triggers)
	env := map[string]string{"JETSTREAM_API_HOST": l.host, "JETSTREAM_API_PORT": strconv.Itoa(l.apiPort),
		"JETSTREAM_API_USER": "root", "JETSTREAM_API_PASSWORD": testPassword}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	out, errs, ended := &consoleText{}, &consoleText{}, make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"trigger", "tail", "send.destinationCreated"}, func(k string) string { return env[k] }, nil, out, errs)
	}()
	await := func(text string) {
		t.Helper()
		select {
		case <-out.await(text, 1):
		case code := <-ended:
			t.Fatalf("tail ended with %d: %s", code, errs)
		case <-time.After(time.Minute):
			t.Fatalf("%q did not come: %s", text, out)
		}
	}
	// It is up once the server has its connection: events before are not shown.
	for i := 0; ; i++ {
		l.call("send.createDestination", map[string]any{"destinationAddress": "127.0.0.1", "destinationPort": 2000 + i})
		select {
		case <-out.await(": started", 1):
		case <-time.After(200 * time.Millisecond):
			open()
			continue
		}
		break
	}
	await("send.destinationCreated| before 127.0.0.1:") // it still runs: the gate is closed
	open()
	await("send.destinationCreated| after")
	await(`send.destinationCreated! no \x1b[31mred`)
	await("the script ended with exit status 3")
	cancel()
	if code := <-ended; code != exitDone {
		t.Errorf("exit status %d: %s", code, errs)
	}

	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"trigger", "tail", "recv.transfercomplete"}, os.Getenv, nil, &stdout, &stderr)
	if code != exitUsage || !strings.Contains(stderr.String(), "did you mean recv.transferComplete?") {
		t.Errorf("an unknown event: %d %s", code, stderr.String())
	}
	stderr.Reset()
	env["JETSTREAM_API_PASSWORD"] = "wrong"
	code = run(t.Context(), []string{"trigger", "tail"}, func(k string) string { return env[k] }, nil, &stdout, &stderr)
	if code != exitFailed || !strings.Contains(stderr.String(), "wrong") {
		t.Errorf("a wrong password: %d %s", code, stderr.String())
	}
}
