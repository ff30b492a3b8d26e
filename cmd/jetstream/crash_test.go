//go:build unix

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/server"
)

// startProcess runs the server as a process of its own, so that it can be
// killed; it returns once the server listens.
func (l *live) startProcess(flags ...string) *exec.Cmd {
	l.t.Helper()
	args := append([]string{"server", "--api-port=0", "--recv-port=0", "--recv-host=127.0.0.1",
		"--persistent-state-dir=" + l.state, "--log-format=json"}, flags...)
	cmd := exec.Command(programFile(l.t), args...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		l.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.console = &consoleText{}
	l.wrote(l.console, flags)
	listening := make(chan bool, 1)
	go func() {
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			if strings.Contains(lines.Text(), "JetStream is listening") {
				listening <- true
			}
			_, _ = l.console.Write(append(lines.Bytes(), '\n'))
		}
		close(listening)
	}()
	l.t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	if !<-listening {
		l.t.Fatalf("the server ended:\n%s", l.console)
	}
	var e server.Endpoint
	if err := json.Unmarshal([]byte(read(l.t, filepath.Join(l.state, server.EndpointFile))), &e); err != nil {
		l.t.Fatal(err)
	}
	l.host, l.apiPort, l.recvPort = e.APIHost, e.APIPort, e.RecvPort
	l.baseURL = fmt.Sprintf("http://%s:%d", e.APIHost, e.APIPort)
	return cmd
}

// Fifty events wait when the server is killed. Those that waited run once, the
// one that ran runs again as attempt 2, before them, and its orphan is gone.
func TestKilledServerLosesNoEvent(t *testing.T) {
	l := newLive(t)
	wait, open := gate(t)
	wait = wait[strings.Index(wait, "read line"):]
	l.script("on.send.createDestination", `#!/bin/sh
port=$(printf '%s' "$1" | sed 's/.*"destinationPort":\([0-9]*\).*/\1/')
echo "$JETSTREAM_ATTEMPT $port" >> log.txt
[ "$port" = 1000 ] || exit 0
`+wait)
	flags := []string{"--trigger-dir=" + l.triggers, "--trigger-on-api", "--trigger-log"}
	server := l.startProcess(flags...)
	want := "1 1000\n2 1000\n"
	for i := range 50 {
		l.call("send.createDestination", map[string]any{"destinationAddress": "127.0.0.1", "destinationPort": 1000 + i})
		if i > 0 {
			want += fmt.Sprintf("1 %d\n", 1000+i)
		}
	}
	l.awaitLog(`"msg":"trigger started"`, 1)
	// The script runs once its first line is written: the kill must hit it.
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for deadline := time.Now().Add(time.Minute); ; <-again.C {
		b, err := os.ReadFile(filepath.Join(l.triggers, "log.txt"))
		if string(b) == "1 1000\n" {
			break
		}
		if err != nil && !os.IsNotExist(err) || time.Now().After(deadline) {
			t.Fatalf("log.txt holds %q (%v)", b, err)
		}
	}
	if err := server.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = server.Wait()

	l.startProcess(flags...)
	l.awaitLog(`"msg":"trigger started"`, 1) // so the orphan, who waits at the gate too, is gone
	open()
	l.awaitRuns("on.send.createDestination", 50)
	wantLog(t, l, want)

	runs := l.callAs("root", "getTriggerRuns", map[string]any{"event": "on.send.createDestination", "limit": 1000})["runs"].([]any)
	count := map[string]int{}
	for _, r := range runs {
		run := r.(map[string]any)
		count[fmt.Sprint(run["status"], " ", run["attempt"])]++
	}
	if len(runs) != 51 || count["success 1"] != 49 || count["success 2"] != 1 || count["interrupted 1"] != 1 {
		t.Errorf("records: %v", count)
	}
}

// Many call at once when the server is killed, and nothing but the calls
// themselves is saved. Each one that was answered has its event, once, and the
// scripts run in the order of the records.
func TestKilledServerKeepsWhatItAnswered(t *testing.T) {
	l := newLive(t)
	l.script("on.getServerInfo", "#!/bin/sh\necho $JETSTREAM_EVENT_REQUEST_ID >> log.txt\n")
	flags := []string{"--trigger-dir=" + l.triggers, "--trigger-on-api", "--trigger-log"}
	server := l.startProcess(flags...)
	l.callAs("root", "pauseTriggers", nil)
	const callers, before = 16, 300
	var calling sync.WaitGroup
	answers := make(chan string, 1<<16)
	for c := range callers {
		calling.Go(func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("c%d-%d", c, i)
				req, err := http.NewRequestWithContext(t.Context(), "GET", l.baseURL+"/api/v1/server", nil)
				if err != nil {
					t.Error(err)
					return
				}
				req.SetBasicAuth("alice", testPassword)
				req.Header.Set(api.RequestIDHeader, id)
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					return // the server is gone
				}
				_, err = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				if err != nil || resp.StatusCode != http.StatusOK {
					return
				}
				answers <- id
			}
		})
	}
	answered := map[string]bool{}
	for range before {
		answered[<-answers] = true
	}
	if err := server.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = server.Wait()
	calling.Wait()
	close(answers)
	for id := range answers {
		answered[id] = true
	}

	l.startProcess(flags...)
	runs := l.runsOf("on.getServerInfo")
	events := map[string]int{}
	var want strings.Builder
	for _, run := range slices.Backward(runs) {
		events[run["requestId"].(string)]++
		fmt.Fprintln(&want, run["requestId"])
	}
	for id := range answered {
		if events[id] != 1 {
			t.Errorf("call %s was answered and has %d events", id, events[id])
		}
	}
	if len(events) != len(runs) {
		t.Errorf("%d calls have %d events", len(events), len(runs))
	}
	l.callAs("root", "resumeTriggers", nil)
	l.awaitRuns("on.getServerInfo", len(runs))
	wantLog(t, l, want.String())
}
