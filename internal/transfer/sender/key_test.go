package sender_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/wire"
)

// answering listens and passes each connection to answer, in a goroutine of its own,
// which the test waits for.
func answering(t *testing.T, answer func(net.Conn)) transfer.Destination {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() { _ = ln.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { defer nc.Close(); answer(nc) })
		}
	})
	return at(ln.Addr())
}

func at(a net.Addr) transfer.Destination {
	return transfer.Destination{DestinationAddress: "127.0.0.1", DestinationPort: a.(*net.TCPAddr).Port}
}

// The key of a receiver is what it shows. What is none is refused, in words that say why.
func TestReceiverKey(t *testing.T) {
	a, b := newSite(t), newSite(t)
	address, err := net.ResolveTCPAddr("tcp", b.Address)
	if err != nil {
		t.Fatal(err)
	}
	if key, err := a.sender.ReceiverKey(t.Context(), at(address)); err != nil || key != b.Identity.PublicKey() {
		t.Errorf("%q (%v), want %q", key, err, b.Identity.PublicKey())
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	for name, c := range map[string]struct {
		to   transfer.Destination
		code api.Code
		says string
	}{
		"nobody listens": {at(ln.Addr()), api.CodeUnavailable, "cannot be reached: connect: connection refused"},
		"it hangs up":    {answering(t, func(net.Conn) {}), api.CodeUnavailable, "cannot be reached: "},
		"another protocol": {answering(t, func(nc net.Conn) {
			_, _ = nc.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
		}), api.CodeUnavailable, "what answers there is no receive port of a JetStream server"},
		"a later version": {answering(t, func(nc net.Conn) {
			conn, err := wire.Server(t.Context(), nc, b.Identity, wire.Hello{MinVersion: 1000, MaxVersion: 1000, Software: "later"})
			if err == nil {
				conn.Abort()
			}
		}), api.CodeConflict, "cannot be used"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := a.sender.ReceiverKey(t.Context(), c.to)
			if e := api.ErrorOf(err); err == nil || e.Code != c.code || !strings.Contains(e.Message, c.says) {
				t.Errorf("%v; want %s: ...%s", err, c.code, c.says)
			}
		})
	}
}

// Receivers that say nothing are asked for their keys by some callers at a time. They let
// others in when they are gone.
func TestReceiverKeysThatAreAskedForAtOnce(t *testing.T) {
	const most = 16
	a := newSite(t)
	silent := make(chan struct{}, 2*most)
	to := answering(t, func(nc net.Conn) {
		silent <- struct{}{}
		_, _ = nc.Read(make([]byte, 1<<16))
		_, _ = nc.Read(make([]byte, 1)) // until the other end is closed
	})
	ctx, leave := context.WithCancel(t.Context())
	ended := make(chan error, most)
	for range most {
		go func() {
			_, err := a.sender.ReceiverKey(ctx, to)
			ended <- err
		}()
	}
	for range most {
		<-silent
	}
	_, err := a.sender.ReceiverKey(t.Context(), to)
	if e, ok := errors.AsType[*api.Error](err); !ok || e.Code != api.CodeTooManyRequests || e.RetryAfter != time.Second {
		t.Errorf("one more is answered %v", err)
	}
	leave()
	for range most {
		if err := <-ended; err == nil {
			t.Error("a receiver that says nothing has a key")
		}
	}
	ctx, leave = context.WithCancel(t.Context())
	go func() { <-silent; leave() }()
	if _, err := a.sender.ReceiverKey(ctx, to); errors.Is(err, &api.Error{Code: api.CodeTooManyRequests}) {
		t.Errorf("when all are gone: %v", err)
	}
}
