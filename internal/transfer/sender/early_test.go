package sender_test

import (
	"bufio"
	"crypto/tls"
	"net"
	"slices"
	"sync"
	"testing"

	"jetstream/internal/transfer"
	"jetstream/internal/transfer/wire"
)

// A receiver whose key is known is sent Login and Open together with Hello. Another one
// gets the password only when it has shown by its Hello that it is a receiver.
func TestLoginWaitsForHelloOfUnknownReceiver(t *testing.T) {
	a := newSite(t)
	a.put("src/1", []byte("x"))
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
	flights := make(chan []wire.Type, 64)
	wg.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer nc.Close()
				if types := firstFlight(nc, id); len(types) > 0 { // a lane may end before it says anything
					flights <- types
				}
			})
		}
	})
	first := a.send(nil, job{to: ln.Addr().String()})
	for range 2 { // the connection for messages, and a lane
		if got := <-flights; !slices.Equal(got, []wire.Type{wire.TypeHello}) {
			t.Errorf("an unknown receiver was sent frames of the types %v at once", got)
		}
	}
	if _, err := a.engine.UpdateDestination(t.Context(), by("bob"), first.DestinationID, transfer.DestinationChange{PublicKey: new(id.PublicKey())}); err != nil {
		t.Fatal(err)
	}
	for want := []wire.Type{wire.TypeHello, wire.TypeLogin, wire.TypeOpen}; ; {
		got := <-flights
		if slices.Equal(got, want) {
			return
		}
		if len(got) > 1 { // lanes and former attempts send Hello alone
			t.Fatalf("a known receiver was sent frames of the types %v at once, not %v", got, want)
		}
	}
}

// firstFlight makes a TLS connection, says nothing, and returns the types of the frames
// that come in the first record.
func firstFlight(nc net.Conn, id *wire.Identity) (types []wire.Type) {
	conn := tls.Server(nc, id.ServerTLS())
	r := bufio.NewReaderSize(conn, 32<<10)
	for {
		h, _, err := wire.ReadFrame(r, func(n int) []byte { return make([]byte, n) })
		if err != nil {
			return types
		}
		if types = append(types, h.Type); r.Buffered() == 0 {
			return types
		}
	}
}
