//go:build unix

package main

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// letter is one request that a peer of a test got.
type letter struct {
	header http.Header
	body   []byte
}

// endpointOf starts an HTTP server that stands for somebody else's. It answers
// with the statuses in their order, the last for ever, and passes on what came.
func endpointOf(t *testing.T, statuses ...int) (place string, letters chan letter) {
	t.Helper()
	letters = make(chan letter, 100)
	var n atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		if err != nil {
			t.Error(err)
		}
		letters <- letter{r.Header, body}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(statuses[min(int(n.Add(1)), len(statuses))-1])
	}))
	t.Cleanup(server.Close)
	return server.URL, letters
}

func TestExampleChat(t *testing.T) {
	t.Parallel()
	needs(t, "curl")
	s := newExampleSites(t, "notify.sh")
	place, letters := endpointOf(t, 503, 200)
	s.set("notify.curl", "url = \""+place+"\"\nheader = \"Authorization: Bearer s3cret\"\n")
	s.deliver(0)
	for range 2 { // 503 is tried again
		l := <-letters
		var chat struct{ Text string }
		if err := json.Unmarshal(l.body, &chat); err != nil || !strings.HasPrefix(chat.Text, "JetStream: bob received 3 files (transfer ") && !strings.HasPrefix(chat.Text, "bob received 3 files (transfer ") {
			t.Errorf("the chat got %q (%v)", l.body, err)
		}
		if l.header.Get("Authorization") != "Bearer s3cret" || l.header.Get("Content-Type") != "application/json" {
			t.Errorf("the chat got %v", l.header)
		}
	}
	// What is in a message cannot break the JSON.
	const event, message = "on.getUsers", "there is no \"a\\b\" here"
	s.to.script(event, example(t, "notify.sh"))
	s.to.callAs("root", "emitTrigger", map[string]any{"event": event, "parameters": map[string]any{"status": "notFound", "message": message + "\n"}})
	if run := s.to.waitForRun(event); run["exitCode"] != 0.0 {
		t.Fatalf("%v", run)
	}
	var chat struct{ Text string }
	l := <-letters
	if err := json.Unmarshal(l.body, &chat); err != nil || strings.TrimSpace(chat.Text) != "root called getUsers: notFound, "+message {
		t.Errorf("the chat got %q (%v)", l.body, err)
	}

	gone, _ := endpointOf(t, 404)
	s.set("notify.curl", "url = \""+gone+"/s3cret\"\n")
	if o := s.deliver(1, "404"); strings.Contains(o.stdout+o.stderr, "s3cret") {
		t.Errorf("the record holds the secret: %v", o)
	}
	if err := os.Chmod(filepath.Join(s.to.triggers, "notify.curl"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.deliver(2, "chmod 600")
	if err := os.Remove(filepath.Join(s.to.triggers, "notify.curl")); err != nil {
		t.Fatal(err)
	}
	s.deliver(2, "there is no "+s.to.triggers+"/notify.curl")
}

// mailServer stands for a mail server: it takes one mail and passes it on.
func mailServer(t *testing.T) (address string, mails chan string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	mails = make(chan string, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		_ = ln.Close()
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		say := func(text string) { _, _ = io.WriteString(conn, text+"\r\n") }
		say("220 ready")
		var mail strings.Builder
		data := false
		for lines := bufio.NewScanner(conn); lines.Scan(); {
			line := lines.Text()
			mail.WriteString(line + "\n")
			switch word, _, _ := strings.Cut(line, " "); {
			case data && line == ".":
				data = false
				say("250 taken")
			case data:
			case word == "DATA":
				data = true
				say("354 go on")
			case word == "QUIT":
				say("221 bye")
				mails <- mail.String()
				return
			default:
				say("250 fine")
			}
		}
	}()
	t.Cleanup(func() {
		_ = ln.Close()
		<-done
	})
	return ln.Addr().String(), mails
}

func TestExampleMail(t *testing.T) {
	needs(t, "curl")
	s := newExampleSites(t, "notify.sh")
	address, mails := mailServer(t)
	s.set("notify.curl", "url = \"smtp://"+address+"\"\nmail-from = \"jetstream@example.com\"\nmail-rcpt = \"operators@example.com\"\n")
	s.deliver(0)
	mail := <-mails
	for _, want := range []string{
		"MAIL FROM:<jetstream@example.com>", "RCPT TO:<operators@example.com>", "\nSubject: JetStream: bob received 3 files\n", "\n\nbob received 3 files (transfer ",
	} {
		if !strings.Contains(mail, want) {
			t.Errorf("the mail has no %q:\n%s", want, mail)
		}
	}
	s.deliver(1, "curl: (7)") // nobody listens there any more
}

// Three servers: what the second receives, it sends on to the third.
func TestExampleOnward(t *testing.T) {
	t.Parallel()
	s := newExampleSites(t, "send-onward.py")
	third := newLive(t)
	third.addUser("carol", false)
	third.start()
	s.put(oddNames())
	// What else lies in the sandbox stays there.
	if err := os.MkdirAll(filepath.Join(s.to.files, "in/reel"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.to.files, "in/reel/private.txt"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.set("send-onward.conf", fmt.Sprintf("program = %s\ntarget = carol@127.0.0.1:%d:/from b\n", programFile(t), third.recvPort))
	s.set("send-onward.password", testPassword+"\n")
	s.deliver(1, "the key of 127.0.0.1", "is not known yet", "jetstream send ended with exit status 2")
	s.set("send-onward.conf", fmt.Sprintf("program = %s\ntarget = carol@127.0.0.1:%d:/from b\npublic_key = %s\n", programFile(t), third.recvPort,
		third.callAs("carol", "getServerInfo", nil)["publicKey"]))
	s.deliver(0, "complete: ")
	want := map[string]string{}
	for name, text := range tree(t, s.from.files) {
		want["from b/"+name] = text
	}
	sameTree(t, tree(t, third.files), want)
	transfers := s.to.callAs("bob", "send.getTransfers", nil)["transfers"].([]any)
	if len(transfers) != 1 || transfers[0].(map[string]any)["owner"] != "bob" {
		t.Errorf("the run's token made %v", transfers)
	}

	s.set("send-onward.password", "wrong\n")
	s.deliver(1, "user carol or its password was refused by 127.0.0.1", "jetstream send ended with exit status 1")
	if left, err := filepath.Glob(filepath.Join(s.to.files, ".onward-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
	if err := os.Chmod(filepath.Join(s.to.triggers, "send-onward.password"), 0o640); err != nil {
		t.Fatal(err)
	}
	s.deliver(2, "chmod 600")
	s.set("send-onward.conf", "target = carol@127.0.0.1:/in\nprogram = no-such-program\n")
	s.deliver(2, "there is no program 'no-such-program'")
	s.set("send-onward.conf", "")
	s.deliver(2, "target is missing")
}

func TestExampleWebhook(t *testing.T) {
	t.Parallel()
	s := newExampleSites(t, "relay-webhook.py")
	key := []byte("0123456789abcdef0123456789abcdef")
	s.set("relay-webhook.secret", "whsec_"+base64.StdEncoding.EncodeToString(key)+"\n")
	place, letters := endpointOf(t, 503, 204)
	config := func(place, more string) {
		s.set("relay-webhook.conf", "url = "+place+"\nfirst_wait = 0.01\ntotal = 60\nmax_files = 2\n"+more)
	}
	config(place, "")
	s.deliver(0, "127.0.0.1: it answered 503", "accepted the event at attempt 2 with 204")
	run := s.to.waitForRun(received)
	for range 2 {
		l := <-letters
		id, at := l.header.Get("Webhook-Id"), l.header.Get("Webhook-Timestamp")
		mac := hmac.New(sha256.New, key)
		_, _ = fmt.Fprintf(mac, "%s.%s.%s", id, at, l.body)
		if got, want := l.header.Get("Webhook-Signature"), "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)); got != want {
			t.Errorf("signed %s, want %s", got, want)
		}
		if sent, err := strconv.ParseInt(at, 10, 64); err != nil || time.Since(time.Unix(sent, 0)).Abs() > time.Minute {
			t.Errorf("sent at %s (%v)", at, err)
		}
		if id != run["eventId"] {
			t.Errorf("the id is %s, want the event's, %s", id, run["eventId"])
		}
		event := object(t, l.body)
		data, _ := event["data"].(map[string]any)
		files, _ := data["files"].([]any)
		if event["type"] != received || data["username"] != "bob" || data["fileCount"] != 3.0 || len(files) != 2 {
			t.Errorf("the peer got %s", l.body)
		}
	}

	for status, attempts := range map[int]int{400: 1, 302: 1, 500: 3} {
		place, letters := endpointOf(t, status)
		config(place, "attempts = 3\n")
		s.deliver(1, fmt.Sprint("it answered ", status))
		if len(letters) != attempts {
			t.Errorf("%d was tried %d times, want %d", status, len(letters), attempts)
		}
	}
	// A peer that takes the request and never answers.
	ctx, end := context.WithCancel(t.Context())
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-ctx.Done():
		}
	}))
	t.Cleanup(silent.Close)
	t.Cleanup(end)
	config(silent.URL, "attempts = 2\ntimeout = 0.1\n")
	s.deliver(1, "timed out", "given up after 2 attempts")
	config(silent.URL, "attempts = 2\ntimeout = 50\ntotal = 1\n")
	s.deliver(1, "did not accept the event within 1 s")

	s.set("relay-webhook.secret", "geheim\n")
	if o := s.deliver(2, "does not begin with whsec_"); strings.Contains(o.stderr, "geheim") {
		t.Errorf("the record holds the secret: %v", o)
	}
	config("ftp://x", "")
	s.deliver(2, "url must be")
}
