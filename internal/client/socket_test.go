//go:build unix

package client

import (
	"net"
	"path/filepath"
	"testing"
	"time"
)

// A socket that nobody listens at, whose listener cuts the caller off, or that
// stays silent, does not answer.
func TestSocketWithoutAServerDoesNotAnswer(t *testing.T) {
	if Answers(t.Context(), filepath.Join(t.TempDir(), "none"), time.Second) {
		t.Error("a missing socket answers")
	}
	for name, handle := range map[string]func(net.Conn){
		"cut off": func(c net.Conn) { _ = c.Close() },
		"silent":  func(net.Conn) {},
	} {
		path := filepath.Join(t.TempDir(), "s")
		ln, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = ln.Close() })
		go func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				t.Cleanup(func() { _ = c.Close() })
				handle(c)
			}
		}()
		if Answers(t.Context(), path, 200*time.Millisecond) {
			t.Errorf("%s: it answers", name)
		}
	}
}
