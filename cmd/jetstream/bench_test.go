//go:build linux

package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/store"
	"jetstream/internal/transfer"
)

// BenchmarkSleepingScript compares the API of a server whose script sleeps
// with that of one whose script exits at once, call by call in turns. The
// ratio is of the 99th percentiles; 1 would be no difference.
func BenchmarkSleepingScript(b *testing.B) {
	servers := map[string]*live{}
	for name, script := range map[string]string{"sleeping": "#!/bin/sh\nexec sleep 3600\n", "exiting": "#!/bin/sh\nexit 0\n"} {
		l := newLive(b)
		l.script("on.send.createDestination", script)
		l.start("--trigger-dir="+l.triggers, "--trigger-on-api", "--shutdown-grace=0s", "--trigger-grace=0s")
		servers[name] = l
	}
	took := map[string][]time.Duration{}
	for b.Loop() {
		for range 100 {
			for name, l := range servers {
				began := time.Now()
				l.call("send.createDestination", map[string]any{"destinationAddress": "127.0.0.1"})
				took[name] = append(took[name], time.Since(began))
			}
		}
	}
	p99 := func(name string) float64 {
		slices.Sort(took[name])
		return float64(took[name][len(took[name])*99/100])
	}
	b.ReportMetric(p99("sleeping")/p99("exiting"), "ratio")
	b.ReportMetric(p99("exiting")/1e6, "p99-ms")
}

// BenchmarkQueuedEvents tells what a server of its own weighs while 100,000
// events wait, put there through the API by eight clients.
func BenchmarkQueuedEvents(b *testing.B) {
	const events, clients = 100_000, 8
	for b.Loop() {
		l := newLive(b)
		l.script("on.send.getDestinations", "#!/bin/sh\nexit 0\n")
		server := l.startProcess("--trigger-dir="+l.triggers, "--trigger-on-api", "--trigger-queue-max=1000000")
		l.callAs("root", "pauseTriggers", nil)
		before := memory(b, server.Process.Pid, "VmRSS")
		transport := &http.Transport{MaxIdleConnsPerHost: clients}
		client := &http.Client{Transport: transport}
		var wg sync.WaitGroup
		for range clients {
			wg.Go(func() {
				for range events / clients {
					req, err := http.NewRequestWithContext(b.Context(), "GET", l.baseURL+"/api/v1/send/destinations", nil)
					if err != nil {
						b.Error(err)
						return
					}
					req.SetBasicAuth("alice", testPassword)
					res, err := client.Do(req)
					if err != nil {
						b.Error(err)
						return
					}
					_ = res.Body.Close()
				}
			})
		}
		wg.Wait()
		transport.CloseIdleConnections()
		info := l.callAs("root", "getServerInfo", nil)
		if n := info["triggers"].(map[string]any)["waiting"]; n != float64(events) {
			b.Fatalf("%v events wait, want %d", n, events)
		}
		b.ReportMetric(memory(b, server.Process.Pid, "VmRSS"), "MiB")
		b.ReportMetric(before, "MiB-before")
		b.ReportMetric(memory(b, server.Process.Pid, "VmHWM"), "MiB-peak")
		_ = server.Process.Kill()
		_ = server.Wait()
	}
}

// BenchmarkMillionLines tells by how much a server of its own grows while it
// hands a script the list of a transfer of a million files.
func BenchmarkMillionLines(b *testing.B) {
	const files = 1_000_000
	for b.Loop() {
		l := newLive(b)
		id := keepReceived(b, l.state, files)
		l.script("recv.transferComplete", "#!/bin/sh\nwc -l\nwc -l < \"$JETSTREAM_FILE_LIST\"\n")
		server := l.startProcess("--trigger-dir=" + l.triggers)
		// The first call pays for what every server needs once.
		l.callAs("root", "emitTrigger", map[string]any{"event": "recv.transferComplete"})
		l.waitForRun("recv.transferComplete")
		before := memory(b, server.Process.Pid, "VmHWM")
		l.callAs("root", "emitTrigger", map[string]any{"event": "recv.transferComplete",
			"parameters": map[string]any{"transfer_id": id, "username": "alice"}})
		run := l.waitForRun("recv.transferComplete")
		if out := run["stdout"].(map[string]any)["text"].(string); strings.Count(out, fmt.Sprint(files)) != 2 {
			b.Fatalf("the script counted %q: %v", out, run)
		}
		b.ReportMetric(memory(b, server.Process.Pid, "VmHWM")-before, "MiB-added")
		_ = server.Process.Kill()
		_ = server.Wait()
	}
}

// keepReceived puts a received transfer of so many files into a database.
func keepReceived(b *testing.B, state string, files int) string {
	b.Helper()
	ctx := context.Background()
	db, err := store.Open(ctx, state)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	row := &transfer.RecvTransfer{
		TransferID: api.NewID(), Username: "alice", Status: transfer.StatusComplete, SourcePublicKey: "bench",
		DestinationPath: "/", Root: "/srv/files", StartTime: api.Now(), EndTime: api.Now(), Conflict: "overwrite", OnError: "stop",
	}
	const page = 10_000
	for from := 0; from < files; from += page {
		list := make([]transfer.RecvFile, page)
		for i := range list {
			name := fmt.Sprintf("/reel/%07d/frame.dpx", from+i)
			list[i] = transfer.RecvFile{Index: int64(from + i), Name: name, Size: 1, Final: name, Real: name[1:], Placed: true}
		}
		err := db.Received().Update(ctx, func(tx transfer.RecvTx) error {
			if from == 0 {
				if err := tx.SaveRecvTransfer(row); err != nil {
					return err
				}
			}
			return tx.SaveRecvFiles(row.SourcePublicKey, row.TransferID, list)
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	return row.TransferID
}

// memory reads a line of a process's status, in MiB.
func memory(b *testing.B, pid int, name string) float64 {
	b.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(pid), "status"))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			var kib float64
			if _, err := fmt.Sscan(value, &kib); err != nil {
				b.Fatal(err)
			}
			return kib / 1024
		}
	}
	b.Fatalf("no %s of process %d", name, pid)
	return 0
}
