package sender_test

import (
	"context"
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"

	"jetstream/internal/transfer/wire"
)

// Lanes are dialled before the key of a receiver is known that was never reached:
// one that another server answers gets nothing, and the transfer goes over the others.
func TestLaneAnsweredByAnotherKeyGetsNothing(t *testing.T) {
	a, b := newSite(t), newSite(t)
	for _, name := range []string{"1", "2", "3", "4"} {
		a.write("src/"+name, 1<<20)
	}
	id, err := wire.LoadIdentity(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() { _ = ln.Close(); wg.Wait() })
	got := make(chan error, 1)
	wg.Go(func() {
		for n := 0; ; n++ {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			if n == 1 { // the first one is that for messages
				wg.Go(func() { got <- firstFrame(t.Context(), in, id) })
				continue
			}
			out, err := net.Dial("tcp", b.Address)
			if err != nil {
				_ = in.Close()
				continue
			}
			wg.Go(func() { _, _ = io.Copy(out, in); _ = out.Close() })
			wg.Go(func() { _, _ = io.Copy(in, out); _ = in.Close() })
		}
	})
	tr := a.send(b, job{to: ln.Addr().String()})
	complete(t, a, b, tr)
	same(t, filepath.Join(a.Sandbox, "src"), filepath.Join(b.Sandbox, "src"))
	if err := <-got; err == nil {
		t.Error("a server with another key was sent a message")
	}
}

// firstFrame takes a connection and returns why nothing follows the handshake.
func firstFrame(ctx context.Context, nc net.Conn, id *wire.Identity) error {
	conn, err := wire.Server(ctx, nc, id, wire.Hello{MinVersion: wire.MinVersion, MaxVersion: wire.MaxVersion, Software: "impostor"})
	if err != nil {
		return err
	}
	defer conn.Abort()
	_, _, err = conn.Read()
	return err
}
