//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"jetstream/internal/api"
)

var (
	kills    = flag.Int("kills", 8, "how often TestRandomKillsLoseNothing ends a server")
	killSeed = flag.Uint64("kills.seed", 0, "what it draws from; 0: the clock")
)

// campaign is a sender and a receiver that are killed again and again, and
// what the sender has answered meanwhile.
type campaign struct {
	*pair
	processes map[*live]*exec.Cmd
	flags     map[*live][]string
	random    *rand.Rand // used by the killing goroutine only
	stop      chan struct{}
	// senderEnds is how often the sender was ended.
	senderEnds atomic.Int64

	mu           sync.Mutex
	destinations map[string]bool   // request ids of the creations that were answered
	asked        map[string]bool   // request ids of all creations of destinations
	transfers    map[string]string // ids of the transfers that were answered: their path at the receiver
	keys         int               // transfers that were asked for, each under a key of its own
}

// freePort is a port below those that the kernel gives to outgoing connections,
// so that nobody takes it while its server is down.
func freePort(t testing.TB) int {
	t.Helper()
	for range 100 {
		port := 10_000 + rand.IntN(20_000)
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		if err := ln.Close(); err != nil {
			t.Fatal(err)
		}
		return port
	}
	t.Fatal("no free port")
	return 0
}

// TestRandomKillsLoseNothing ends sender and receiver at random moments, by
// SIGKILL and now and then by SIGTERM, while destinations and transfers are
// made. What was answered is there, its events have run, whole trees have
// arrived; nothing is there that nobody asked for, and no part file is left.
func TestRandomKillsLoseNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: starts servers many times")
	}
	c := newCampaign(t)
	var calling sync.WaitGroup
	calling.Go(c.makeDestinations)
	calling.Go(c.makeTransfers)
	for i := range *kills {
		c.kill(i)
	}
	close(c.stop)
	calling.Wait()
	c.awaitEnd()
	c.checkDestinations()
	c.checkTransfers(t)
	c.checkScripts()
	t.Logf("%d kills: %d destinations answered of %d asked for, %d transfers", *kills, len(c.destinations), len(c.asked), len(c.transfers))
}

// seedOf is what a test draws from, which it prints; 0 is the clock.
func seedOf(t *testing.T, name string, seed uint64) uint64 {
	t.Helper()
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-%s=%d", name, seed)
	return seed
}

func newCampaign(t *testing.T) *campaign {
	c := serverlessCampaign(t, seedOf(t, "kills.seed", *killSeed))
	sizes := map[string]int{"a": 10, "empty": 0, "deep/er/b": 70_000, "large": 3 << 20}
	for i := range 100 { // so that most kills hit a transfer between two files
		sizes[fmt.Sprintf("many/%d", i)] = i
	}
	for name, size := range sizes {
		path := filepath.Join(c.from.files, "reel", filepath.FromSlash(name))
		text := bytes.Repeat([]byte(name+" "), size/(len(name)+1))
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c.startServers()
	return c
}

// serverlessCampaign makes a campaign with users and scripts, whose servers are not
// started yet.
func serverlessCampaign(t *testing.T, seed uint64) *campaign {
	c := &campaign{
		pair: &pair{from: newLive(t), to: newLive(t)}, processes: map[*live]*exec.Cmd{}, flags: map[*live][]string{},
		random: rand.New(rand.NewPCG(seed, 0)), stop: make(chan struct{}),
		destinations: map[string]bool{}, asked: map[string]bool{}, transfers: map[string]string{},
	}
	c.to.addUser("bob", false)
	const record = "#!/bin/sh\necho \"$JETSTREAM_EVENT_ID\" >> log.txt\n"
	for _, event := range []string{"send.destinationCreated", "on.send.createDestination", "send.transferComplete"} {
		c.from.script(event, record)
	}
	c.to.script("recv.transferComplete", record)
	return c
}

// startServers starts both servers, on ports that they keep.
func (c *campaign) startServers(more ...string) {
	for _, l := range []*live{c.from, c.to} {
		c.flags[l] = append([]string{
			fmt.Sprintf("--api-port=%d", freePort(l.t)), fmt.Sprintf("--recv-port=%d", freePort(l.t)), "--trigger-dir=" + l.triggers,
			"--trigger-on-api", "--trigger-keep=1000000", "--shutdown-grace=2s",
		}, more...)
		c.processes[l] = l.startProcess(c.flags[l]...)
	}
}

// kill ends one or both servers at some moment and starts them again.
func (c *campaign) kill(i int) {
	t := c.from.t
	t.Helper()
	select {
	case <-time.After(time.Duration(c.random.IntN(1000)) * time.Millisecond):
	case <-t.Context().Done():
	}
	victims := [][]*live{{c.from}, {c.to}, {c.from, c.to}}[c.random.IntN(3)]
	for _, l := range victims {
		if l == c.from {
			c.senderEnds.Add(1)
		}
		sig := syscall.SIGKILL
		if c.random.IntN(4) == 0 {
			sig = syscall.SIGTERM
		}
		if err := c.processes[l].Process.Signal(sig); err != nil {
			t.Fatalf("kill %d: the server was gone already: %v\n%s", i, err, l.console)
		}
		err := c.processes[l].Wait()
		if sig == syscall.SIGTERM && err != nil {
			t.Fatalf("kill %d: SIGTERM ended the server with %v:\n%s", i, err, l.console)
		}
	}
	for _, l := range victims {
		c.processes[l] = l.startProcess(c.flags[l]...)
	}
}

// ask calls a route of the sender as alice, until the server answers or the
// campaign ends. With retry it goes on after the end, so that it has an answer.
func (c *campaign) ask(retry bool, method, path, id string, body any) (reply api.Reply, answered bool) {
	t := c.from.t
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			t.Error(err)
			return reply, false
		}
	}
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	for {
		req, err := http.NewRequestWithContext(t.Context(), method, c.from.baseAddress(c.flags[c.from])+"/api/v1"+path, bytes.NewReader(text))
		if err != nil {
			t.Error(err)
			return reply, false
		}
		req.SetBasicAuth("alice", testPassword)
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set(api.RequestIDHeader, id)
		if retry && method == http.MethodPost {
			req.Header.Set(api.IdempotencyHeader, id)
		}
		res, err := http.DefaultClient.Do(req)
		if err == nil {
			var b []byte
			b, err = io.ReadAll(res.Body)
			_ = res.Body.Close()
			if err == nil && res.StatusCode != http.StatusServiceUnavailable {
				if err := json.Unmarshal(b, &reply); err != nil || reply.Status != api.CodeSuccess {
					t.Errorf("%s %s answered %d %s", method, path, res.StatusCode, b)
					return reply, false
				}
				return reply, true
			}
		}
		if !retry {
			return reply, false
		}
		select {
		case <-pause.C:
		case <-t.Context().Done():
			return reply, false
		}
	}
}

// baseAddress is where a server that was given these flags answers, also while
// it is being started anew.
func (l *live) baseAddress(flags []string) string {
	return "http://127.0.0.1:" + strings.TrimPrefix(flags[0], "--api-port=")
}

// paced calls do again and again until the campaign's end.
func (c *campaign) paced(every time.Duration, do func(n int)) {
	pause := time.NewTicker(every)
	defer pause.Stop()
	for n := 0; ; n++ {
		do(n)
		select {
		case <-pause.C:
		case <-c.stop:
			return
		}
	}
}

func (c *campaign) makeDestinations() {
	c.paced(50*time.Millisecond, func(n int) {
		id := fmt.Sprintf("d-%d", n)
		c.mu.Lock()
		c.asked[id] = true
		c.mu.Unlock()
		// Each its own address, so that each is a creation.
		params := map[string]any{"destinationAddress": fmt.Sprintf("127.1.%d.%d", n/250, 1+n%250), "destinationPort": 9}
		if _, answered := c.ask(false, "POST", "/send/destinations", id, params); answered {
			c.mu.Lock()
			c.destinations[id] = true
			c.mu.Unlock()
		}
	})
}

func (c *campaign) makeTransfers() {
	port := strings.TrimPrefix(c.flags[c.to][1], "--recv-port=")
	reply, _ := c.ask(true, "POST", "/send/destinations", "the-destination", map[string]any{"destinationAddress": "127.0.0.1:" + port})
	destination := field(reply, "destinationId")
	c.paced(500*time.Millisecond, func(n int) {
		reply, _ := c.ask(true, "POST", "/send/manifests", fmt.Sprintf("m-%d", n), map[string]any{"fileMappings": map[string]string{"/reel": "/reel"}})
		manifest := field(reply, "manifestId")
		for processing := true; processing && manifest != ""; {
			reply, answered := c.ask(true, "GET", "/send/manifests/"+manifest+"/wait", fmt.Sprintf("w-%d", n), nil)
			var m struct{ Processing bool }
			processing = answered && json.Unmarshal(reply.Result, &m) == nil && m.Processing
		}
		path := fmt.Sprintf("/in/%d", n)
		c.keys++
		reply, _ = c.ask(true, "POST", "/send/transfers", fmt.Sprintf("t-%d", n), map[string]any{
			"manifestId": manifest, "destinationId": destination, "username": "bob", "password": testPassword,
			"destinationPath": path, "checkpointFrequencySeconds": 1,
		})
		if id := field(reply, "transferId"); id != "" {
			c.transfers[id] = path
		}
	})
}

// field is a string of a reply's result, empty where there is none.
func field(reply api.Reply, name string) string {
	var fields map[string]any
	_ = json.Unmarshal(reply.Result, &fields)
	text, _ := fields[name].(string)
	return text
}

// awaitEnd waits until every transfer has ended and every event has run.
func (c *campaign) awaitEnd() {
	t := c.from.t
	t.Helper()
	for id := range c.transfers {
		for {
			got := c.from.call("send.waitForTransfer", map[string]any{"transferId": id, "timeoutSeconds": 50})
			if got["processing"] == true {
				t.Logf("transfer %s: %v %v", id, got["status"], got["errorMessage"])
				continue
			}
			if got["status"] != "complete" {
				t.Errorf("transfer %s: %v", id, got)
			}
			break
		}
	}
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	for _, l := range []*live{c.from, c.to} {
		for {
			open := 0
			for _, status := range []string{"queued", "running"} {
				open += len(l.callAs("root", "getTriggerRuns", map[string]any{"status": status, "limit": 1})["runs"].([]any))
			}
			if open == 0 {
				break
			}
			<-pause.C
		}
	}
}

// runs lists all runs of an event, by the id of their event.
func (c *campaign) runs(l *live, event string) map[string][]map[string]any {
	l.t.Helper()
	byEvent := map[string][]map[string]any{}
	params := map[string]any{"event": event, "limit": 1000}
	for {
		page := l.callAs("root", "getTriggerRuns", params)
		for _, r := range page["runs"].([]any) {
			run := r.(map[string]any)
			id := run["eventId"].(string)
			byEvent[id] = append(byEvent[id], run) // newest first
		}
		if page["nextCursor"] == nil {
			return byEvent
		}
		params["cursor"] = page["nextCursor"]
	}
}

// checkDestinations wants one event of either kind for each creation that was
// answered, and none that nobody asked for.
func (c *campaign) checkDestinations() {
	t := c.from.t
	t.Helper()
	for _, event := range []string{"send.destinationCreated", "on.send.createDestination"} {
		events := map[string]int{}
		for _, runs := range c.runs(c.from, event) {
			events[runs[0]["requestId"].(string)]++
		}
		for id := range c.destinations {
			if events[id] != 1 {
				t.Errorf("%s: call %s was answered and has %d events", event, id, events[id])
			}
		}
		for id, n := range events {
			if !c.asked[id] && id != "the-destination" || n != 1 {
				t.Errorf("%s: %d events of call %q", event, n, id)
			}
		}
	}
}

// checkTransfers compares the trees, and the events of the transfers.
func (c *campaign) checkTransfers(t *testing.T) {
	t.Helper()
	if len(c.transfers) != c.keys {
		t.Errorf("%d transfers were asked for, each until it was answered; %d have an id", c.keys, len(c.transfers))
	}
	paths := map[string]bool{}
	for _, path := range c.transfers {
		paths[path] = true
	}
	want := tree(t, c.from.files)
	entries, err := os.ReadDir(filepath.Join(c.to.files, "in"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !paths["/in/"+e.Name()] {
			t.Errorf("%s arrived, and nobody sent it", e.Name())
		} else {
			sameTree(t, tree(t, filepath.Join(c.to.files, "in", e.Name())), want)
		}
	}
	if entries, err = os.ReadDir(c.to.files); err != nil || len(entries) != 1 {
		t.Errorf("beside the trees there is %v (%v)", entries, err)
	}
	for event, l := range map[string]*live{"send.transferComplete": c.from, "recv.transferComplete": c.to} {
		events := map[string]int{}
		for _, runs := range c.runs(l, event) {
			events[runs[0]["transferId"].(string)]++
		}
		for id := range c.transfers {
			if events[id] != 1 {
				t.Errorf("%s: transfer %s has %d events", event, id, events[id])
			}
		}
		if len(events) != len(c.transfers) {
			t.Errorf("%s: events of %d transfers, of %d that were made", event, len(events), len(c.transfers))
		}
	}
}

// checkScripts wants each event to have run to its end, and each line of the
// scripts' log to be that of an event.
func (c *campaign) checkScripts() {
	t := c.from.t
	t.Helper()
	for _, l := range []*live{c.from, c.to} {
		all := map[string][]map[string]any{}
		for _, event := range []string{"send.destinationCreated", "on.send.createDestination", "send.transferComplete", "recv.transferComplete"} {
			for id, runs := range c.runs(l, event) {
				all[id] = runs
				if runs[0]["status"] != "success" {
					t.Errorf("the last run of event %s: %v", id, runs[0])
				}
			}
		}
		written := map[string]int{}
		for line := range strings.Lines(read(t, filepath.Join(l.triggers, "log.txt"))) {
			written[strings.TrimSuffix(line, "\n")]++
		}
		for id, runs := range all {
			if n := written[id]; n == 0 || n > len(runs) {
				t.Errorf("event %s has %d runs, and %d lines in the log", id, len(runs), n)
			}
		}
		for id := range written {
			if all[id] == nil {
				t.Errorf("the log has event %s, which no run has", id)
			}
		}
	}
}
