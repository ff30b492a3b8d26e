//go:build unix

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
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
	l.console = &console{}
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
	var e endpoint
	if err := json.Unmarshal([]byte(read(l.t, filepath.Join(l.state, endpointFile))), &e); err != nil {
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
