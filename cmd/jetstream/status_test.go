//go:build unix

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestStatusNamesFailuresAndSilentDestinations: a script that fails and a receiver that
// nobody reaches.
func TestStatusNamesFailuresAndSilentDestinations(t *testing.T) {
	l := newLive(t)
	l.script("send.destinationCreated", "#!/bin/sh\nexit 3\n")
	l.start("--trigger-dir=" + l.triggers)
	if err := os.WriteFile(filepath.Join(l.files, "reel"), []byte("reel"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := l.call("send.createDestination", map[string]any{"destinationAddress": "127.0.0.1", "destinationPort": 1})
	m := l.call("send.createManifest", map[string]any{"fileMappings": map[string]string{"/reel": "/reel"}})
	l.call("send.waitForManifest", map[string]any{"manifestId": m["manifestId"]})
	l.call("send.createTransfer", map[string]any{
		"manifestId": m["manifestId"], "destinationId": d["destinationId"], "username": "bob", "password": testPassword,
	})
	want := []string{
		"server       well: ", "failed       in 24 hours: 0 sent, 0 received, 1 scripts", "send.destinationCreated: ",
		"destinations 1, silent: 1", "1 wait: 127.0.0.1:1 cannot be reached: ",
	}
	env := map[string]string{
		"JETSTREAM_API_HOST": l.host, "JETSTREAM_API_PORT": strconv.Itoa(l.apiPort), "JETSTREAM_API_USER": "root", "JETSTREAM_API_PASSWORD": l.password,
	}
	missing := func(text string) (list []string) {
		for _, w := range want {
			if !strings.Contains(text, w) {
				list = append(list, w)
			}
		}
		return list
	}
	for end := time.Now().Add(time.Minute); ; {
		var out, errs bytes.Buffer
		code := run(t.Context(), []string{"status"}, func(k string) string { return env[k] }, strings.NewReader(""), &out, &errs)
		left := missing(out.String())
		if code == exitDone && len(left) == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("status exits %d, lacks %q and says\n%s%s", code, left, out.String(), errs.String())
		}
	}
}
