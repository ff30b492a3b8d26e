//go:build unix

package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/client"
	"jetstream/internal/server"
	"jetstream/internal/server/servertest"
)

// basic is the Authorization header of a user and a password.
func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// TestServerInfoAndPorts: the ports stand in the first line of the log, in
// getServerInfo and in endpoint.json; who the server is outlives it, the process
// does not.
func TestServerInfoAndPorts(t *testing.T) {
	l := newLive(t)
	var infos []map[string]any
	for range 2 {
		l.start("--trigger-dir="+l.triggers, "--trigger-on-api", "--external-address=site-a.example")
		info := l.call("getServerInfo", nil)
		for _, field := range []string{"version", "apiVersion", "serverId", "serverUid", "serverName", "hostName", "apiControlPort",
			"recvPort", "publicKey", "authRequired", "triggers", "startTime"} {
			if info[field] == nil || info[field] == "" || info[field] == 0.0 {
				t.Errorf("getServerInfo has no %s: %v", field, info)
			}
		}
		if tr := info["triggers"].(map[string]any); tr["dir"] != l.triggers || tr["onApi"] != true || tr["waiting"] != 0.0 || info["serverName"] != "site-a.example" {
			t.Errorf("getServerInfo: %v", info)
		}
		first, _, _ := strings.Cut(l.console.String(), "\n")
		line, file := object(t, []byte(first)), object(t, []byte(read(t, filepath.Join(l.state, server.EndpointFile))))
		for what, port := range map[string]any{"apiControlPort": file["apiPort"], "recvPort": file["recvPort"]} {
			if info[what] != port || port == 0.0 {
				t.Errorf("%s is %v in getServerInfo and %v in %s", what, info[what], port, server.EndpointFile)
			}
		}
		if line["apiPort"] != file["apiPort"] || line["recvPort"] != file["recvPort"] || file["apiHost"] != "127.0.0.1" ||
			file["serverUid"] != info["serverUid"] || file["pid"] != float64(os.Getpid()) {
			t.Errorf("the first line is %v, %s holds %v", line, server.EndpointFile, file)
		}
		infos = append(infos, info)
		l.stop()
		if _, err := os.Stat(filepath.Join(l.state, server.EndpointFile)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("after a clean stop: %v", err)
		}
	}
	if infos[0]["serverUid"] != infos[1]["serverUid"] || infos[0]["publicKey"] != infos[1]["publicKey"] || infos[0]["serverId"] == infos[1]["serverId"] {
		t.Errorf("one start %v, the next %v", infos[0], infos[1])
	}
}

// TestFirstStartMakesOneUser: admin, with a password that is in no log and that
// nobody could guess.
func TestFirstStartMakesOneUser(t *testing.T) {
	passwords := map[string]bool{}
	for range 2 {
		l := newBare(t)
		l.guard(t)
		l.start()
		file := filepath.Join(l.state, "initial-password")
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("%v %v", info, err)
		}
		l.password = strings.TrimSpace(read(t, file))
		l.keeps(file)
		l.secret(l.password)
		if len(l.password) < 20 || passwords[l.password] {
			t.Errorf("the password %q", l.password)
		}
		passwords[l.password] = true
		if got := l.callAs("admin", "getUsers", nil)["users"].([]any); len(got) != 1 || got[0].(map[string]any)["superuser"] != true {
			t.Errorf("users: %v", got)
		}
		// No sandbox of its own: a directory beside the state, made at first use.
		box := filepath.Join(filepath.Dir(l.state), "files", "admin")
		if got := l.callAs("admin", "getServerInfo", nil)["sandbox"]; got != box {
			t.Errorf("the sandbox is %v, want %s", got, box)
		}
		l.callAs("admin", "ls", map[string]any{"path": "/"})
		all := filepath.Join(l.files, "all") // shows the umask
		if err := os.Mkdir(all, 0o777); err != nil {
			t.Fatal(err)
		}
		rights, err := os.Stat(all)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(box); err != nil || info.Mode().Perm() != 0o750&rights.Mode().Perm() {
			t.Errorf("the sandbox: %v %v", info, err)
		}
		for _, guess := range []string{"admin", "password", "jetstream", ""} {
			if res, _ := l.send("GET", "/api/v1/tokens", basic("admin", guess), nil); res.StatusCode != 401 {
				t.Errorf("the password %q: %d", guess, res.StatusCode)
			}
		}
		l.stop()
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		l.start()
		if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the second start made a password anew: %v", err)
		}
	}
}

// TestRequestIDIsEverywhere follows one from the call to the log, the event
// stream and the script.
func TestRequestIDIsEverywhere(t *testing.T) {
	l := newLive(t)
	l.script("send.destinationCreated", "#!/bin/sh\necho $JETSTREAM_EVENT_REQUEST_ID >> log.txt\n")
	l.start("--trigger-dir="+l.triggers, "--trigger-log")
	events := l.follow("root", client.EventOptions{})
	const id = "follow-me-7"
	res, body := l.send("POST", "/api/v1/send/destinations", basic("alice", l.password), map[string]any{"destinationAddress": "127.0.0.1"},
		api.RequestIDHeader, id)
	if res.StatusCode != 201 || res.Header.Get(api.RequestIDHeader) != id {
		t.Fatalf("%d %s %v", res.StatusCode, body, res.Header)
	}
	seen := map[string]string{}
	for _, e := range l.until(events, endOf("send.destinationCreated")) {
		seen[e.Type] = string(e.Data)
	}
	for _, typ := range []string{"send.destinationCreated", "trigger.queued", "trigger.ended"} {
		if !strings.Contains(seen[typ], `"`+id+`"`) {
			t.Errorf("%s does not name the request: %s", typ, seen[typ])
		}
	}
	wantLog(t, l, id+"\n")
	if !strings.Contains(l.console.String(), `"command":"send.createDestination","user":"alice","status":"success"`) || !strings.Contains(l.console.String(), `"requestId":"`+id+`"`) {
		t.Errorf("the log:\n%s", l.console)
	}
}

// TestPathsAreUnescapedOnce: what a path names is not unescaped again.
func TestPathsAreUnescapedOnce(t *testing.T) {
	l := newLive(t)
	l.start()
	for path, want := range map[string]string{"%252e%252e%252fx": `%2e%2e%2fx`, "a%2Fb": "a/b", "a%20b": "a b"} {
		status, reply := l.rest("alice", "GET", "/api/v1/send/transfers/"+path, nil)
		if status != 404 || !strings.Contains(reply.Message, `"`+want+`"`) {
			t.Errorf("%s: %d %s, want it to look for %q", path, status, reply.Message, want)
		}
	}
}

// TestUnknownHostNamesAreRefused asks a server by every name that it has, and by others.
func TestUnknownHostNamesAreRefused(t *testing.T) {
	l := newLive(t)
	l.start("--external-address=outside.example", "--api-allowed-host=other.example")
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{
		"127.0.0.1": 200, "[::1]": 200, "192.0.2.7:1234": 200, "localhost": 200, "LOCALHOST.:80": 200, host: 200,
		"outside.example": 200, "other.example:443": 200,
		"evil.example": 403, "localhost.evil.example": 403, "127.0.0.1.evil.example": 403, "outside.example.evil": 403, "": 403,
	} {
		if status := l.byName(name, "/healthz"); status != want {
			t.Errorf("Host %q: %d, want %d", name, status, want)
		}
	}
}

// byName asks for a path under another name than the server's address.
func (l *live) byName(name, path string) int {
	l.t.Helper()
	return l.raw("GET " + path + " HTTP/1.1\r\nHost: " + name + "\r\nConnection: close\r\n\r\n").StatusCode
}

// TestAPIOverTLS: both protocols, a cookie for TLS only, and nothing without.
func TestAPIOverTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	servertest.WriteCertificate(t, cert, key, "site-a.example")
	l := newLive(t)
	l.start("--tls-cert="+cert, "--tls-key="+key)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(read(t, cert)))
	for _, h2 := range []bool{false, true} {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "site-a.example"}, ForceAttemptHTTP2: h2}
		if !h2 {
			transport.Protocols = new(http.Protocols)
			transport.Protocols.SetHTTP1(true)
		}
		web := &http.Client{Transport: transport}
		body := fmt.Sprintf(`{"name":"alice","password":%q}`, l.password)
		req, err := http.NewRequestWithContext(t.Context(), "POST", fmt.Sprintf("https://127.0.0.1:%d/session", l.apiPort), strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "site-a.example" // a name of the certificate is a name of the server
		req.Header.Set("Content-Type", "application/json")
		res, err := web.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if cookies := res.Cookies(); res.ProtoMajor == 2 != h2 || res.StatusCode != 200 || len(cookies) != 1 || !cookies[0].Secure || !cookies[0].HttpOnly || cookies[0].SameSite != http.SameSiteStrictMode {
			t.Errorf("HTTP/2 %v: %s %d, cookies %v", h2, res.Proto, res.StatusCode, cookies)
		}
		transport.CloseIdleConnections()
	}
	if res, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/healthz", l.apiPort)); err != nil || res.StatusCode != 400 {
		t.Errorf("without TLS: %v %v", res, err)
	} else {
		_ = res.Body.Close()
	}
	conn, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", l.apiPort), &tls.Config{RootCAs: pool, ServerName: "site-a.example", MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10})
	if err == nil {
		_ = conn.Close()
		t.Error("TLS 1.1 is spoken")
	}
	// The renewed certificate is what the next connection sees.
	servertest.WriteCertificate(t, cert, key, "site-a.example.renewed")
	deadline, again := time.After(time.Minute), time.NewTicker(100*time.Millisecond)
	defer again.Stop()
	for {
		conn, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", l.apiPort), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		names := conn.ConnectionState().PeerCertificates[0].DNSNames
		_ = conn.Close()
		if slices.Equal(names, []string{"site-a.example.renewed"}) {
			break
		}
		select {
		case <-again.C:
		case <-deadline:
			t.Fatalf("a minute after the renewal it still serves %v", names)
		}
	}
}

// TestLogFormatFollowsItsReader: JSON for programs, text for people, the file always JSON.
func TestLogFormatFollowsItsReader(t *testing.T) {
	isJSON := func(text string) bool { return json.Valid([]byte(strings.TrimSpace(text))) }
	for format, want := range map[string]bool{"auto": true, "json": true, "text": false} {
		var out strings.Builder
		file := filepath.Join(t.TempDir(), "log")
		log, closeFile, err := (&serverCmd{LogLevel: "info", LogFormat: format, Log: file}).logger(&out, &out)
		if err != nil {
			t.Fatal(err)
		}
		log.Info("hello", "to", "you")
		if err := closeFile(); err != nil {
			t.Fatal(err)
		}
		if got := isJSON(out.String()); got != want || !strings.Contains(out.String(), "hello") {
			t.Errorf("%s: JSON %v: %s", format, got, out.String())
		}
		if text := read(t, file); !isJSON(text) || !strings.Contains(text, "hello") {
			t.Errorf("%s: the file holds %s", format, text)
		}
	}
}

// raw sends bytes as they are and reads what answers.
func (l *live) raw(request string) *http.Response {
	l.t.Helper()
	res, err := l.exchange(request)
	if err != nil {
		l.t.Fatalf("%.80q: %v", request, err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	return res
}

// exchange sends bytes as they are on a connection of their own and returns
// the head of the answer.
func (l *live) exchange(request string) (*http.Response, error) {
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", l.apiPort))
	if err != nil {
		return nil, err
	}
	l.t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	// A server may answer, and hang up, before it has heard everything.
	_, unsent := io.WriteString(conn, request)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return nil, errors.Join(unsent, err)
	}
	return res, nil
}

// rawRead is raw with the answer's body.
func (l *live) rawRead(request string) (*http.Response, []byte) {
	l.t.Helper()
	res, err := l.exchange(request)
	if err != nil {
		l.t.Fatalf("%.80q: %v", request, err)
	}
	text, _ := io.ReadAll(res.Body)
	_ = res.Body.Close()
	return res, text
}

// TestStopWhileItStarts is no failure, whenever it comes.
func TestStopWhileItStarts(t *testing.T) {
	for _, when := range []string{"", "JetStream is listening"} {
		for range 5 {
			l := newBare(t)
			l.guard(t)
			out := &consoleText{}
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan int, 1)
			if when == "" {
				stop()
			}
			found := out.await(when, 1)
			go func() {
				ended <- run(ctx, []string{"server", "--api-port=0", "--recv-port=0", "--recv-host=127.0.0.1", "--log-format=json", "--persistent-state-dir=" + l.state},
					os.Getenv, nil, io.Discard, out)
			}()
			<-found
			stop()
			if code := <-ended; code != exitDone || strings.Contains(out.String(), "canceled") {
				t.Errorf("stopped at %q: exit status %d:\n%s", when, code, out)
			}
			if _, err := os.Stat(filepath.Join(l.state, server.EndpointFile)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("stopped at %q: %s is left: %v", when, server.EndpointFile, err)
			}
			_ = os.Remove(filepath.Join(l.state, "initial-password"))
		}
	}
}
