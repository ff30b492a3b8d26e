//go:build unix

package main

import (
	"fmt"
	"net"
	"testing"

	"jetstream/internal/api"
	"jetstream/internal/transfer/wire"
)

// receiving begins a transfer at the receiver that waits for its data until
// the test ends, and returns its id.
func (p *pair) receiving() string {
	t := p.to.t
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	identity, err := wire.LoadIdentity(t.TempDir())
	must(err)
	nc, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", p.to.recvPort))
	must(err)
	conn, err := wire.Client(t.Context(), nc, identity, "", wire.Hello{MinVersion: wire.MinVersion, MaxVersion: wire.MaxVersion, Software: "test"})
	must(err)
	t.Cleanup(conn.Abort)
	id := api.NewID()
	must(conn.Send(wire.TypeLogin, wire.Login{TransferID: id, Username: "bob", Password: testPassword}))
	h, payload, err := conn.Read()
	must(err)
	var ticket wire.Ticket
	if err := wire.Decode(payload, &ticket); err != nil || h.Type != wire.TypeTicket {
		t.Fatalf("login: frame %d %s (%v)", h.Type, payload, err)
	}
	must(conn.Send(wire.TypeOpen, wire.Open{
		TransferID: id, Ticket: ticket.Ticket, TotalFiles: 3, TotalBytes: 64 << 20, DestinationPath: "/in", Conflict: "overwrite", OnError: "stop",
	}))
	if h, payload, err = conn.Read(); err != nil || h.Type != wire.TypeResume {
		t.Fatalf("open: frame %d %s (%v)", h.Type, payload, err)
	}
	return id
}

// TestWhoMayCancelAReception: its user, where the token may write, and
// superusers; to others it is not there.
func TestWhoMayCancelAReception(t *testing.T) {
	p := newPair(t)
	id := p.receiving()
	path := "/api/v1/recv/transfers/" + id + "/cancel"
	as := func(authorization string, want int) {
		t.Helper()
		if res, body := p.to.send("POST", path, authorization, nil); res.StatusCode != want {
			t.Errorf("%d %s, want %d", res.StatusCode, body, want)
		}
	}
	as("", 401)
	if status, reply := p.to.rest("alice", "POST", path, nil); status != 404 || reply.Status != api.CodeNotFound {
		t.Errorf("another user: %d %s", status, reply.Message)
	}
	as("Bearer "+p.to.token("alice", "/", "read", "write"), 404)
	as("Bearer "+p.to.token("root", "/", "read", "write"), 404) // without admin no superuser
	as("Bearer "+p.to.token("bob", "/", "read"), 403)
	if got := p.to.callAs("bob", "recv.getTransfer", map[string]any{"transferId": id}); got["status"] != "receiving" {
		t.Fatalf("after refusals only: %v", got)
	}
	as("Bearer "+p.to.token("bob", "/elsewhere", "write"), 200)
	got := p.to.callAs("bob", "recv.getTransfer", map[string]any{"transferId": id})
	if got["status"] != "cancelled" || got["processing"] != false || got["errorMessage"] != "cancelled at the receiver by user bob" {
		t.Errorf("after the cancel: %v", got)
	}
	if status, reply := p.to.rest("bob", "POST", path, nil); status != 409 || reply.Status != api.CodeConflict {
		t.Errorf("again: %d %s", status, reply.Message)
	}
	got = p.to.callAs("root", "recv.cancelTransfer", map[string]any{"transferId": p.receiving()})
	if got["status"] != "cancelled" || got["errorMessage"] != "cancelled at the receiver by superuser root" {
		t.Errorf("by a superuser: %v", got)
	}
}
