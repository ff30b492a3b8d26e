//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"jetstream/internal/api"
	"jetstream/internal/audit"
)

// audited is a record of the audit log.
type audited struct {
	Time api.Time
	User string
	audit.Record
}

// String says who did what by which login from where, and what came of it.
func (a audited) String() string {
	return strings.Join(strings.Fields(fmt.Sprintf("%s %s %s by %s from %s x%d", a.User, a.Action, a.Status, a.Login, a.Address, a.Count)), " ")
}

// auditLog is the file that every server of these tests has for its audit log.
func (l *live) auditLog() string { return filepath.Join(l.dir, "audit.log") }

// auditRecords are the records of the audit log's file.
func (l *live) auditRecords() (list []audited) {
	l.t.Helper()
	for line := range strings.Lines(read(l.t, l.auditLog())) {
		var a audited
		if err := json.Unmarshal([]byte(line), &a); err != nil || !strings.HasSuffix(line, "\n") {
			l.t.Fatalf("no record: %q: %v", line, err)
		}
		list = append(list, a)
	}
	return list
}

// checkAudited wants one record of a command that changes something, by its request
// id, and none of one that looks. A secret in it is found when the test ends.
func checkAudited(t *testing.T, l *live, c *api.Command, user, requestID string) {
	t.Helper()
	var found []audited
	for _, a := range l.auditRecords() {
		if a.RequestID == requestID {
			found = append(found, a)
		}
	}
	want := []string{user + " " + c.Name + " success by password from 127.0.0.1 x1"}
	if c.Method == http.MethodGet {
		want = nil
	}
	var got []string
	for _, a := range found {
		got = append(got, a.String())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("records of the audit log (-want +got):\n%s", diff)
	}
}

// TestAuditLogTellsWhoDidWhat, by every login and from everywhere; file and event
// log have the same.
func TestAuditLogTellsWhoDidWhat(t *testing.T) {
	p := newPair(t)
	l, began := p.from, len(p.from.auditRecords())
	made := l.call("createAPIToken", map[string]any{"permissions": []string{"write"}})
	token, id := made["token"].(string), made["tokenId"]
	cookie := l.signIn("alice")
	mkdir := func(path, authorization string, headers ...string) {
		t.Helper()
		l.send("POST", "/api/v1/files/directories", authorization, map[string]any{"path": path}, headers...)
	}
	mkdir("/by/token", "Bearer "+token)
	mkdir("/by/session", "", "Cookie", cookie)
	l.send("DELETE", "/session", "", nil, "Cookie", cookie)
	if out := l.here(nil, "api", "--user", "alice", "mkdir", "--path=/by/socket"); out.code != 0 {
		t.Fatal(out)
	}
	// Refused, each in its own way.
	mkdir("/x", basic("ALICE", "a wrong password"))
	mkdir("/x", basic("correct horse battery staple", "a wrong password"))
	mkdir("/x", "Bearer "+token+"x")
	mkdir("/x", "")
	mkdir("/x", "Basic ?")
	l.send("POST", "/session", "", map[string]any{"name": "alice", "password": "another wrong password"})
	mkdir("/x", basic("alice", l.password), "Origin", "http://evil.example", "Sec-Fetch-Site", "cross-site")
	l.rest("alice", "DELETE", "/api/v1/users/bob", nil)
	l.send("GET", "/api/v1/files", "Bearer "+token, nil)
	l.get("alice", "/metrics")
	// A failure of what is permitted.
	l.rest("alice", "DELETE", "/api/v1/files", nil)
	l.call("ls", nil)
	l.stop()

	var got []string
	records := l.auditRecords()[began:]
	for _, a := range records {
		got = append(got, a.String())
	}
	want := []string{
		"alice createAPIToken success by password from 127.0.0.1 x1",
		"alice login success by password from 127.0.0.1 x1",
		"alice mkdir success by token from 127.0.0.1 x1",
		"alice mkdir success by session from 127.0.0.1 x1",
		"alice logout success by session from 127.0.0.1 x1",
		fmt.Sprintf("alice mkdir success by socket from uid %d x1", os.Getuid()),
		"alice login unauthorized by password from 127.0.0.1 x1",
		"*** login unauthorized by password from 127.0.0.1 x1",
		"login unauthorized by token from 127.0.0.1 x1",
		"login unauthorized by from 127.0.0.1 x1",
		"request forbidden by from 127.0.0.1 x1",
		"alice deleteUser forbidden by password from 127.0.0.1 x1",
		"alice ls forbidden by token from 127.0.0.1 x1",
		"alice GET /metrics forbidden by password from 127.0.0.1 x1",
		"alice rm invalid by password from 127.0.0.1 x1",
		"alice login unauthorized by password from 127.0.0.1 x1", // on the page, the second of its kind
		"login unauthorized by from 127.0.0.1 x1",                // the second without a login
	}
	counted := cmp.Transformer("counted", func(list []string) map[string]int {
		m := map[string]int{}
		for _, one := range list { // the last ones come in any order
			m[one]++
		}
		return m
	})
	if diff := cmp.Diff(want, got, counted); diff != "" {
		t.Fatalf("records (-want +got):\n%s", diff)
	}
	if records[2].TokenID != id || string(records[2].Parameters) != `{"path":"/by/token"}` || records[2].RequestID == "" {
		t.Errorf("a record by token: %+v", records[2])
	}
	if text := read(t, l.auditLog()); strings.Contains(text, "horse") || strings.Contains(text, "wrong password") {
		t.Error("what was typed for a user's name or a password is in the log")
	}
	l.start()
	events := l.callAs("root", "getEventLog", map[string]any{"types": []string{"audit"}, "limit": 1000})["events"].([]any)
	for i, e := range events {
		var fromFile any
		at := len(l.auditRecords()) - 1 - i
		if err := json.Unmarshal([]byte(strings.Split(read(t, l.auditLog()), "\n")[at]), &fromFile); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(fromFile, e.(map[string]any)["data"]); diff != "" {
			t.Errorf("event %d (-file +event log):\n%s", i, diff)
		}
	}
	if len(events) < len(want) {
		t.Errorf("the event log has %d records", len(events))
	}
	if seen := l.call("getEventLog", map[string]any{"types": []string{"audit"}})["events"].([]any); len(seen) != 0 {
		t.Errorf("a common user sees %v", seen)
	}
}

// TestAuditLogHasSenders: logins of sending servers, and their refusals.
func TestAuditLogHasSenders(t *testing.T) {
	p := newPair(t)
	began := len(p.to.auditRecords())
	key := p.from.call("getServerInfo", nil)["publicKey"]
	send := func(user, password string) any {
		t.Helper()
		x := p.from.call("send.createTransfer", map[string]any{"manifestId": p.manifest(), "destinationId": p.destination(),
			"username": user, "password": password, "destinationPath": "/in"})
		p.from.call("send.waitForTransfer", map[string]any{"transferId": x["transferId"]})
		return x["transferId"]
	}
	id := send("bob", testPassword)
	tokenID := p.to.callAs("bob", "createAPIToken", map[string]any{"permissions": []string{"write"}})
	send("bob", tokenID["token"].(string))
	send("bob", "a wrong password")
	send("not-a-user-but-a-password", "a wrong password")
	p.to.callAs("root", "recv.allowOnlyAuthorizedClients", map[string]any{"onlyAuthorizedClientsAllowed": true})
	x := p.from.call("send.createTransfer", map[string]any{"manifestId": p.manifest(), "destinationId": p.destination(), "username": "bob", "password": testPassword})
	p.from.call("send.waitForTransfer", map[string]any{"transferId": x["transferId"]})
	p.to.stop()
	var got []string
	var records []audited
	for _, a := range p.to.auditRecords()[began:] {
		if a.Action == audit.ActionRecvLogin {
			records = append(records, a)
			got = append(got, a.String())
		}
	}
	want := []string{
		"bob recv.login success by password from 127.0.0.1 x1",
		"bob recv.login success by token from 127.0.0.1 x1",
		"bob recv.login unauthorized by password from 127.0.0.1 x1",
		"*** recv.login unauthorized by password from 127.0.0.1 x1",
		"recv.login forbidden by from 127.0.0.1 x1",
	}
	if diff := cmp.Diff(want, got[:min(len(got), len(want))]); diff != "" {
		t.Fatalf("records (-want +got):\n%s", diff)
	}
	if got, want := string(records[0].Parameters), fmt.Sprintf(`{"transferId":%q,"sourcePublicKey":%q}`, id, key); got != want {
		t.Errorf("the parameters are %s, want %s", got, want)
	}
	if records[1].TokenID != tokenID["tokenId"] || !strings.Contains(string(records[4].Parameters), fmt.Sprint(key)) {
		t.Errorf("by token %+v, refused for its key %+v", records[1], records[4])
	}
	if strings.Contains(read(t, p.to.auditLog()), "not-a-user") {
		t.Error("a name that no user has is in the log")
	}
}

// TestAuditLogHasUsersOfTheStateDirectory: also what jetstream user does where no
// server runs is recorded.
func TestAuditLogHasUsersOfTheStateDirectory(t *testing.T) {
	l := newLive(t)
	password := map[string]string{"JETSTREAM_USER_PASSWORD": testPassword}
	for _, args := range [][]string{{"user", "add", "carol", "--superuser"}, {"user", "passwd", "carol"}, {"user", "remove", "carol", "--yes"}} {
		if out := l.here(password, args...); out.code != 0 {
			t.Fatalf("%q: %+v", args, out)
		}
	}
	l.start()
	events := l.callAs("root", "getEventLog", map[string]any{"types": []string{"audit"}})["events"].([]any)
	var got []string
	for _, e := range events {
		data := e.(map[string]any)["data"].(map[string]any)
		got = append(got, fmt.Sprintf("%s of %s from %s", data["action"], data["parameters"].(map[string]any)["name"], data["address"]))
	}
	from := fmt.Sprintf("from uid %d", os.Getuid())
	if diff := cmp.Diff([]string{"deleteUser of carol " + from, "updateUser of carol " + from, "createUser of carol " + from}, got); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

// TestFaultsOfTheAuditLogAtStart: what is no file to append to is refused with a
// word on what to do.
func TestFaultsOfTheAuditLogAtStart(t *testing.T) {
	dir := t.TempDir()
	for flag, want := range map[string]string{
		"--audit-log=" + dir:                  dir + " is a directory; name a file in it; see --audit-log",
		"--audit-log=" + dir + "/absent/log":  "no such file or directory; see --audit-log",
		"--audit-log=/dev/null":               "/dev/null is no regular file",
		"--trusted-proxy=proxy.example":       `--trusted-proxy "proxy.example" is no address and no network: write it like 10.0.0.7 or 10.0.0.0/24`,
		"--trusted-proxy=0.0.0.0/0":           "trusts everybody",
		"--trusted-proxy=10.0.0.1,10.0.0.0/x": `"10.0.0.0/x" is no address`,
	} {
		got := jetstream(t, map[string]string{"HOME": dir}, "", "server", "--api-port=0", "--recv-port=0", "--recv-host=127.0.0.1", "--persistent-state-dir="+dir+"/state", flag)
		if got.code == 0 || !strings.Contains(got.stderr, want) {
			t.Errorf("%s: %+v, want %q", flag, got, want)
		}
	}
}

// TestClientAddressBehindAProxy: only what a trusted proxy has appended to
// X-Forwarded-For counts, for the audit log and for the slowing of guesses.
func TestClientAddressBehindAProxy(t *testing.T) {
	l := newLive(t)
	log := newAttackLog(t, "proxies", "sent by 127.0.0.1", "address in the audit log")
	made := 0
	from := func(headers ...string) string {
		t.Helper()
		made++
		body := map[string]any{"path": fmt.Sprintf("/%d", made)}
		if res, answer := l.send("POST", "/api/v1/files/directories", basic("alice", l.password), body, headers...); res.StatusCode != 201 {
			t.Fatalf("%d %s", res.StatusCode, answer)
		}
		records := l.auditRecords()
		return records[len(records)-1].Address
	}
	const forwarded = "X-Forwarded-For"
	l.start()
	log.tried("X-Forwarded-For: 198.51.100.7, to a server without --trusted-proxy", from(forwarded, "198.51.100.7"), "127.0.0.1")
	l.stop()
	l.start("--trusted-proxy=192.0.2.1")
	log.tried("X-Forwarded-For: 198.51.100.7, where another proxy is trusted", from(forwarded, "198.51.100.7"), "127.0.0.1")
	l.stop()
	l.start("--trusted-proxy=127.0.0.1", "--trusted-proxy=10.0.0.0/8")
	for _, tt := range []struct{ header, value, want string }{
		{forwarded, "198.51.100.7", "198.51.100.7"},
		{forwarded, "203.0.113.9, 198.51.100.7", "198.51.100.7"},
		{forwarded, "203.0.113.9, 198.51.100.7, 10.1.2.3", "198.51.100.7"},
		{forwarded, "203.0.113.9, unknown, 10.1.2.3", "10.1.2.3"},
		{forwarded, "<script>", "127.0.0.1"},
		{forwarded, "[2001:db8::7]:4711", "2001:db8::7"},
		{"Forwarded", "for=203.0.113.9", "127.0.0.1"},
		{"X-Real-Ip", "203.0.113.9", "127.0.0.1"},
	} {
		log.tried(tt.header+": "+tt.value+", of a trusted proxy", from(tt.header, tt.value), tt.want)
	}
	guess := func(address, user string) string {
		res, body := l.send("GET", "/api/v1/tokens", basic(user, "a guess"), nil, forwarded, "203.0.113.9, "+address)
		return answered(res, body)
	}
	last := ""
	for i := 0; i < 100 && last != "429 tooManyRequests"; i++ {
		last = guess("198.51.100.7", fmt.Sprint("nobody", i))
	}
	log.row("wrong passwords of many users by one address behind the proxy, until they are slowed", last)
	log.tried("one by another address behind it", guess("198.51.100.8", "somebody"), "401 unauthorized")
	if last != "429 tooManyRequests" {
		t.Errorf("guesses of one address are answered %s", last)
	}
	log.finish()
}
