//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"jetstream/internal/client"
)

var endureFor = flag.Duration("endure", 0, "how long TestEndurance loads two servers; 0: not at all")

// endurePeriods is into how many periods the time is divided. At the end of each the
// load pauses, both servers are measured at rest, and started anew.
const endurePeriods = 6

// endurance is two servers under a load of transfers, scripts, calls and streams.
type endurance struct {
	*campaign
	destination string
	work        sync.RWMutex // held for reading by each piece of work; by the measuring, for writing

	transfers, calls, events atomic.Int64
}

// atRest is what a server uses when nothing is under way.
type atRest struct {
	memory, peak, state int64
	files, goroutines   int
}

// TestEndurance loads two servers for a long time, which make endure sets. From the second
// period on their memory, open files and goroutines at rest are those of the period before,
// the peak of their memory does not grow, and nothing but the event log grows on the disk.
func TestEndurance(t *testing.T) {
	if *endureFor == 0 {
		t.Skip("make endure runs it, for two hours")
	}
	e := &endurance{campaign: serverlessCampaign(t, 1)}
	e.startServers()
	for i := range 60 {
		e.write(i)
	}
	reply, _ := e.ask(true, "POST", "/send/destinations", "endurance", map[string]any{"destinationAddress": "127.0.0.1", "destinationPort": e.to.recvPort})
	e.destination = field(reply, "destinationId")
	var working sync.WaitGroup
	for n := range 3 {
		working.Go(func() { e.paced(200*time.Millisecond, func(i int) { e.send(n, i) }) })
	}
	for n, l := range []*live{e.from, e.to, e.from, e.to} {
		working.Go(func() { e.paced(50*time.Millisecond, func(i int) { e.look(l, n+i) }) })
		working.Go(func() { e.follow(l, uint64(n)) })
	}
	var periods [endurePeriods][2]atRest
	for i := range periods {
		select {
		case <-time.After(*endureFor / endurePeriods):
		case <-t.Context().Done():
		}
		e.work.Lock()
		for k, l := range []*live{e.from, e.to} {
			periods[i][k] = e.measure(l)
			t.Logf("period %d, server %d: %+v; %d transfers, %d calls, %d events so far", i, k, periods[i][k], e.transfers.Load(), e.calls.Load(), e.events.Load())
			e.restart(l)
		}
		e.work.Unlock()
	}
	close(e.stop)
	working.Wait()
	first, last := periods[1], periods[endurePeriods-1]
	for k := range first {
		if last[k].goroutines > first[k].goroutines+5 || last[k].files > first[k].files+5 {
			t.Errorf("server %d: goroutines or open files grow: %+v, then %+v", k, first[k], last[k])
		}
		if last[k].peak > first[k].peak*5/4 {
			t.Errorf("server %d: the peak of its memory grows: %+v, then %+v", k, first[k], last[k])
		}
	}
	if e.transfers.Load() == 0 || e.calls.Load() == 0 || e.events.Load() == 0 {
		t.Errorf("%d transfers, %d calls, %d events: there was no load", e.transfers.Load(), e.calls.Load(), e.events.Load())
	}
	hidden, err := filepath.Glob(filepath.Join(e.to.files, "in", "*", ".*"))
	if trees, _ := filepath.Glob(filepath.Join(e.to.files, "in", "*", "tree")); err != nil || len(hidden) > 0 || len(trees) == 0 {
		t.Errorf("%d trees have arrived; left of transfers: %q, %v", len(trees), hidden, err)
	}
}

// write makes file i of what is sent, or changes it.
func (e *endurance) write(i int) {
	size := 4000
	if i%20 == 0 {
		size = 2 << 20
	}
	path := filepath.Join(e.from.files, "tree", fmt.Sprint(i%10), fmt.Sprint(i))
	err := os.MkdirAll(filepath.Dir(path), 0o750)
	if err == nil {
		err = os.WriteFile(path, bytes.Repeat([]byte{byte(rand.IntN(256))}, size), 0o600)
	}
	if err != nil {
		e.from.t.Error(err)
	}
}

// do makes a call and returns its result; nil unless it succeeds, as while servers start.
func (e *endurance) do(l *live, user, method, path string, body any) map[string]any {
	var text io.Reader = http.NoBody
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			l.t.Error(err)
		}
		text = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(l.t.Context(), method, l.baseAddress(e.flags[l])+"/api/v1"+path, text)
	if err != nil {
		l.t.Error(err)
		return nil
	}
	req.SetBasicAuth(user, testPassword)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil
	}
	defer func() { _ = res.Body.Close() }()
	var reply struct{ Result map[string]any }
	if json.NewDecoder(res.Body).Decode(&reply) != nil || res.StatusCode >= 300 {
		return nil
	}
	e.calls.Add(1)
	return reply.Result
}

// send sends the tree, of which some files have changed, and forgets the transfer.
func (e *endurance) send(n, i int) {
	e.work.RLock()
	defer e.work.RUnlock()
	e.write(rand.IntN(60))
	m := e.do(e.from, "alice", "POST", "/send/manifests", map[string]any{"fileMappings": map[string]string{"/tree": "/tree"}})
	if m == nil {
		return
	}
	manifest := fmt.Sprint(m["manifestId"])
	e.do(e.from, "alice", "GET", "/send/manifests/"+manifest+"/wait", nil)
	x := e.do(e.from, "alice", "POST", "/send/transfers", map[string]any{"manifestId": manifest, "destinationId": e.destination,
		"username": "bob", "password": testPassword, "destinationPath": fmt.Sprintf("/in/%d-%d", n, i%5), "conflict": "changed"})
	if x == nil {
		return
	}
	path := "/send/transfers/" + fmt.Sprint(x["transferId"])
	for e.from.t.Context().Err() == nil {
		if x = e.do(e.from, "alice", "GET", path+"/wait", nil); x != nil && x["processing"] == false {
			break
		}
	}
	if x["status"] != "complete" {
		e.from.t.Errorf("a transfer ended as %v: %v", x["status"], x["errorMessage"])
	}
	e.transfers.Add(1)
	e.do(e.from, "alice", "DELETE", path, nil)
	e.do(e.from, "alice", "DELETE", "/send/manifests/"+manifest, nil)
}

// look makes calls of many kinds, one of which runs a script.
func (e *endurance) look(l *live, i int) {
	e.work.RLock()
	defer e.work.RUnlock()
	switch i % 6 {
	case 0:
		d := e.do(l, "alice", "POST", "/send/destinations", map[string]any{"destinationAddress": "127.9.9.9", "destinationPort": 1 + i%60000})
		if d != nil {
			e.do(l, "alice", "DELETE", "/send/destinations/"+fmt.Sprint(d["destinationId"]), nil)
		}
	case 1:
		e.do(l, "root", "GET", "/send/transfers?limit=50", nil)
	case 2:
		e.do(l, "root", "GET", "/recv/transfers?limit=50", nil)
	case 3:
		e.do(l, "root", "GET", "/trigger-runs?limit=50", nil)
	case 4:
		e.do(l, "alice", "GET", "/no/such/path", nil)
	case 5:
		e.do(l, "root", "GET", "/server", nil)
	}
}

// follow reads the event stream, comes and goes.
func (e *endurance) follow(l *live, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 9))
	var last *int64
	e.paced(10*time.Millisecond, func(int) {
		e.work.RLock()
		defer e.work.RUnlock()
		c, err := client.New(client.Options{Host: l.host, Port: l.apiPort, User: "root", Password: testPassword})
		if err != nil {
			l.t.Error(err)
			return
		}
		defer c.Close()
		ctx, cancel := context.WithTimeout(l.t.Context(), time.Duration(1+random.IntN(15))*time.Second)
		defer cancel()
		_ = c.Events(ctx, client.EventOptions{After: last}, func(got client.Event) error {
			if got.ID != 0 {
				last = &got.ID
			}
			e.events.Add(1)
			return nil
		})
	})
}

var (
	residentMemory = regexp.MustCompile(`VmRSS:\s+(\d+)`)
	peakMemory     = regexp.MustCompile(`VmHWM:\s+(\d+)`)
	goroutineCount = regexp.MustCompile(`(?m)^go_goroutines (\d+)`)
)

// measure reads what a server uses once its queue is empty.
func (e *endurance) measure(l *live) (r atRest) {
	t := l.t
	number := func(pattern *regexp.Regexp, text string) int64 {
		m := pattern.FindStringSubmatch(text)
		if m == nil {
			t.Fatalf("%v does not occur in %s", pattern, text)
		}
		n, err := strconv.ParseInt(m[1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var metrics string
	for deadline := time.Now().Add(2 * time.Minute); ; <-tick.C {
		_, metrics = l.get("root", "/metrics")
		if strings.Contains(metrics, "jetstream_trigger_queue_length 0\n") && strings.Contains(metrics, "jetstream_trigger_running 0\n") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the queue does not become empty")
		}
	}
	pid := e.processes[l].Process.Pid
	status := read(t, fmt.Sprintf("/proc/%d/status", pid))
	r.memory, r.peak = number(residentMemory, status)<<10, number(peakMemory, status)<<10
	r.goroutines = int(number(goroutineCount, metrics))
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	r.files = len(open)
	err = filepath.WalkDir(l.state, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			if info, err := d.Info(); err == nil {
				r.state += info.Size()
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// restart ends a server as an upgrade does, and starts it again.
func (e *endurance) restart(l *live) {
	if err := e.processes[l].Process.Signal(syscall.SIGTERM); err != nil {
		l.t.Fatal(err)
	}
	if err := e.processes[l].Wait(); err != nil {
		l.t.Fatalf("the server ended with %v:\n%s", err, l.console)
	}
	e.processes[l] = l.startProcess(e.flags[l]...)
}
