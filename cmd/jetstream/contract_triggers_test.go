//go:build unix

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// runsOf lists the runs of an event, newest first.
func (l *live) runsOf(event string) (runs []map[string]any) {
	l.t.Helper()
	for _, r := range l.callAs("root", "getTriggerRuns", map[string]any{"event": event, "limit": 1000})["runs"].([]any) {
		runs = append(runs, r.(map[string]any))
	}
	return runs
}

// TestScriptsActAsTheirTokensUser lets scripts make something and reads whose it is.
func TestScriptsActAsTheirTokensUser(t *testing.T) {
	p := newPair(t, "--trigger-on-api")
	script := "#!/bin/sh\nprintf %s \"$JETSTREAM_API_TOKEN\" > token.$JETSTREAM_EVENT\nexec " + programFile(t) +
		" api createDestination --destinationAddress 127.0.0.1 --destinationPort 9\n"
	p.from.script("send.destinationCreated", script)
	p.from.script("on.getUsers", script)
	p.to.script("recv.transferComplete", script)
	check := func(l *live, event, owner string) {
		t.Helper()
		run := l.waitForRun(event)
		if out, _ := run["stdout"].(map[string]any)["text"].(string); run["status"] != "success" || !strings.Contains(out, `"owner": "`+owner+`"`) {
			t.Errorf("%s: want something of %s's: %v", event, owner, run)
		}
		// Its token died with it.
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, l.baseURL+"/api/v1/send/destinations", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+read(t, filepath.Join(l.triggers, "token."+event)))
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusUnauthorized {
			t.Errorf("the token of a run that has ended gives %s", res.Status)
		}
	}
	p.transfer() // makes alice's destination, and hands to bob
	check(p.from, "send.destinationCreated", "alice")
	check(p.to, "recv.transferComplete", "bob")
	p.from.callAs("root", "getUsers", nil)
	check(p.from, "on.getUsers", "root")
}

// TestTransferEventsAtBothEnds follows a transfer that arrives, one that the
// receiver must refuse half way, and one that it never lets in.
func TestTransferEventsAtBothEnds(t *testing.T) {
	p := newPair(t)
	for l, side := range map[*live]string{p.from: "send", p.to: "recv"} {
		for _, what := range []string{"Started", "Complete", "Failed"} {
			l.script(side+".transfer"+what, "#!/bin/sh\necho $# \"$1\" \"$2\"\n")
		}
	}
	want := func(l *live, event string, ids ...string) {
		t.Helper()
		if len(ids) > 0 {
			l.waitForRun(event)
		}
		var got []string
		for _, run := range l.runsOf(event) {
			params := run["parameters"].(map[string]any)
			id, _ := params["transfer_id"].(string)
			got = append(got, id)
			if message, has := params["message"].(string); params["username"] != "bob" || has != strings.HasSuffix(event, "Failed") || has && message == "" {
				t.Errorf("%s says %v", event, params)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(ids) {
			t.Errorf("%s was fired for %v, want %v", event, got, ids)
		}
	}
	arrived := p.transfer()
	send := func(path, password string) string {
		x := p.from.call("send.createTransfer", map[string]any{
			"manifestId": p.manifest(), "destinationId": p.destination(), "username": "bob", "password": password, "destinationPath": path})
		if got := p.from.call("send.waitForTransfer", map[string]any{"transferId": x["transferId"]}); got["status"] != "error" {
			t.Fatalf("%v", got)
		}
		return x["transferId"].(string)
	}
	// A file is where a directory must be made.
	if err := errors.Join(os.Mkdir(filepath.Join(p.to.files, "odd"), 0o700), os.WriteFile(filepath.Join(p.to.files, "odd", "reel"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	failed := send("/odd", testPassword)
	p.to.waitForRun("recv.transferFailed")
	refused := send("/in", "a-wrong-guess")
	want(p.from, "send.transferStarted", failed, arrived)
	want(p.to, "recv.transferStarted", failed, arrived)
	want(p.from, "send.transferComplete", arrived)
	want(p.to, "recv.transferComplete", arrived)
	want(p.from, "send.transferFailed", refused, failed)
	want(p.to, "recv.transferFailed", failed)
}

// TestTriggerLoopsEnd lets a command's script call the command, by its token and by
// a login of its own.
func TestTriggerLoopsEnd(t *testing.T) {
	for name, login := range map[string]string{"by its token": "", "by password": "unset JETSTREAM_API_TOKEN\nexport JETSTREAM_API_USER=alice JETSTREAM_API_PASSWORD=" + testPassword + "\n"} {
		t.Run(name, func(t *testing.T) {
			l := newLive(t)
			l.script("on.getServerInfo", "#!/bin/sh\n"+login+"exec "+programFile(t)+" api getServerInfo\n")
			l.start("--trigger-dir="+l.triggers, "--trigger-on-api", "--trigger-log")
			l.call("getServerInfo", nil)
			l.awaitRuns("on.getServerInfo", 8)
			l.awaitLog("event dropped", 1)
			for i, run := range l.runsOf("on.getServerInfo") {
				if run["depth"] != float64(8-i) || run["status"] != "success" {
					t.Errorf("run %d: %v", i, run)
				}
			}
		})
	}
}

// TestScriptsCallTheirServerOverTLS without being told more than they are.
func TestScriptsCallTheirServerOverTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l := newLive(t)
	l.script("launch", "#!/bin/sh\n"+programFile(t)+" api --user alice createDestination --destinationAddress 127.0.0.1 > made.json 2> fault.txt\necho $? $JETSTREAM_API_CA >> log.txt\n")
	l.start("--trigger-dir="+l.triggers, "--trigger-log", "--api-host=localhost", "--tls-cert="+dir+"/cert.pem", "--tls-key="+dir+"/key.pem")
	l.awaitRuns("launch", 1)
	wantLog(t, l, "0 "+dir+"/cert.pem\n")
	if made := read(t, filepath.Join(l.triggers, "made.json")); !strings.Contains(made, `"owner": "alice"`) {
		t.Errorf("the script made %s; %s", made, read(t, filepath.Join(l.triggers, "fault.txt")))
	}
}

// TestStopLogsWaitingRuns reads the server's last line.
func TestStopLogsWaitingRuns(t *testing.T) {
	l := newLive(t)
	script, open := gate(t)
	l.script("on.getUsers", script)
	l.start("--trigger-dir="+l.triggers, "--trigger-on-api", "--trigger-log", "--trigger-queue-max=2")
	for range 5 {
		l.callAs("root", "getUsers", nil)
		l.awaitLog(`"msg":"trigger started"`, 1)
	}
	stopped := make(chan int)
	go func() { stopped <- l.stop() }()
	l.awaitNoListener()
	open()
	if code := <-stopped; code != exitDone {
		t.Errorf("exit status %d", code)
	}
	lines := strings.Split(strings.TrimSpace(l.console.String()), "\n")
	if last := lines[len(lines)-1]; !strings.Contains(last, `"triggersRan":1,"triggersWaiting":2,"triggersDropped":2`) {
		t.Errorf("the last line is %s", last)
	}
}

// awaitNoListener waits until the stopping server takes no more calls.
func (l *live) awaitNoListener() {
	l.t.Helper()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); <-again.C {
		res, err := http.Get(l.baseURL + "/healthz")
		if err != nil {
			return
		}
		_ = res.Body.Close()
	}
	l.t.Fatal("the stopping server still takes calls")
}

// TestChangedScriptsNeedNoRestart adds, replaces and removes one beside the
// server.
func TestChangedScriptsNeedNoRestart(t *testing.T) {
	l := newLive(t)
	l.start("--trigger-dir="+l.triggers, "--trigger-on-api", "--trigger-log")
	path := filepath.Join(l.triggers, "on.getUsers")
	for i, text := range []string{"", "first", "second", ""} {
		if text == "" {
			_ = os.Remove(path)
		} else {
			l.script("on.getUsers", "#!/bin/sh\necho "+text+"\n")
		}
		l.callAs("root", "getUsers", nil)
		if text != "" {
			l.awaitRuns("on.getUsers", i)
		}
	}
	runs := l.runsOf("on.getUsers")
	if len(runs) != 2 {
		t.Fatalf("%d runs, want 2", len(runs))
	}
	for i, want := range []string{"second\n", "first\n"} {
		if got := runs[i]["stdout"].(map[string]any)["text"]; got != want {
			t.Errorf("run %d said %q, want %q", i, got, want)
		}
	}
}

// TestTransfersGoOnWhileScriptsSleep at both ends.
func TestTransfersGoOnWhileScriptsSleep(t *testing.T) {
	p := newPair(t)
	for l, event := range map[*live]string{p.from: "send.destinationCreated", p.to: "recv.transferStarted"} {
		script, open := gate(t)
		l.script(event, script)
		defer func() { open(); l.waitForRun(event) }()
	}
	p.transfer()
	for l, event := range map[*live]string{p.from: "send.destinationCreated", p.to: "recv.transferStarted"} {
		if runs := l.runsOf(event); len(runs) != 1 || runs[0]["endTime"] != nil {
			t.Errorf("%s did not sleep meanwhile, so that nothing was shown: %v", event, runs)
		}
	}
}

// TestUsersHaveLanesOfTheirOwn: with --trigger-order key one user's commands
// run beside another's.
func TestUsersHaveLanesOfTheirOwn(t *testing.T) {
	l := newLive(t)
	script, open := gate(t)
	l.script("on.getUsers", script)
	l.script("on.getServerInfo", "#!/bin/sh\n")
	l.start("--trigger-dir="+l.triggers, "--trigger-on-api", "--trigger-log", "--trigger-order=key")
	l.callAs("root", "getUsers", nil)
	l.awaitLog(`"msg":"trigger started"`, 1)
	l.callAs("root", "getServerInfo", nil)
	l.callAs("alice", "getServerInfo", nil)
	l.awaitRuns("on.getServerInfo", 1)
	runs := l.runsOf("on.getServerInfo")
	if len(runs) != 2 || runs[0]["user"] != "alice" || runs[0]["status"] != "success" || runs[1]["status"] != "queued" {
		t.Errorf("while a script of root's runs: %v", runs)
	}
	open()
	l.awaitRuns("on.getServerInfo", 2)
}

// TestEmittedParametersStayWhatTheyAre: by REST or envelope and on the command line
// no digit is lost and no name is given twice, however deep.
func TestEmittedParametersStayWhatTheyAre(t *testing.T) {
	l := newLive(t)
	l.script("on.ls", "#!/bin/sh\ncat\n")
	l.start("--trigger-dir="+l.triggers, "--trigger-log")
	const given = `{"result":{"a":9007199254740993,"b":[{"n":1.10}]}}`
	const path = "/api/v1/triggers/on.ls/emit"
	if status, reply := l.rest("root", "POST", path, map[string]any{"parameters": json.RawMessage(given)}); status != 201 {
		t.Errorf("%d %s", status, reply.Message)
	}
	l.wants(0, []string{"is queued"}, "emit", "--yes", "on.ls", given)
	l.wants(0, []string{"is queued"}, "emit", "--yes", "on.ls", "--param", "result="+given[len(`{"result":`):len(given)-1])
	l.awaitRuns("on.ls", 3)
	for _, run := range l.runsOf("on.ls") {
		if out := run["stdout"].(map[string]any)["text"].(string); !strings.Contains(out, given[1:len(given)-1]) {
			t.Errorf("the script reads %s", out)
		}
	}
	for _, twice := range []string{`{"a":1,"a":2}`, `{"a":[{"b":{},"b":{}}]}`, `{"x":{"\u0061":1,"b":{"a":1},"a":2}}`} {
		body := map[string]any{"parameters": json.RawMessage(`{"result":` + twice + `}`)}
		if status, reply := l.rest("root", "POST", path, body); status != 400 || !strings.Contains(reply.Message, "parameters names a member twice") {
			t.Errorf("%s: %d %s", twice, status, reply.Message)
		}
		l.wants(1, []string{"names a member twice"}, "emit", "--yes", "on.ls", "--param", "result="+twice)
	}
}

// TestDoctorSpeaksAtStart: the server says what trigger check says.
func TestDoctorSpeaksAtStart(t *testing.T) {
	l := newLive(t)
	l.script("recv.transfercomplete", "#!/bin/sh\n")
	l.script("launch", "echo\n")
	l.start("--trigger-dir=" + l.triggers)
	for level, part := range map[string]string{"WARN": "did you mean recv.transferComplete?", "INFO": "has no #! line"} {
		found := false
		for line := range strings.Lines(l.console.String()) {
			found = found || strings.Contains(line, `"msg":"trigger directory"`) && strings.Contains(line, part) && strings.Contains(line, `"level":"`+level+`"`)
		}
		if !found {
			t.Errorf("the start does not say %q as %s:\n%s", part, level, l.console)
		}
	}
}
