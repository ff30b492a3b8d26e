//go:build unix

package receiver_test

import (
	"errors"
	"net"
	"strings"
	"testing"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/wire"
	"jetstream/internal/transfertest"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestOnlyAuthorizedClientsMaySend(t *testing.T) {
	s := newSite(t, t.TempDir())
	ctx := t.Context()
	friend, stranger := newSender(t, s), newSender(t, s) // all servers may send at first
	_, made, err := s.Receiver.AddAuthorizedClient(ctx, friend.id.PublicKey(), "a friend")
	if err != nil || !made {
		t.Fatal(made, err)
	}
	friend.begin(wire.Entry{Name: "/f", Size: 3, Mode: 0o600})
	stranger.begin(wire.Entry{Name: "/s", Size: 3, Mode: 0o600})

	// Connections of servers that are not authorized are closed, others are
	// not.
	must(t, s.Receiver.AllowOnlyAuthorizedClients(ctx, true))
	if status, _ := stranger.answer(); status != "" {
		t.Errorf("the stranger's connection was answered %s", status)
	}
	friend.data(0, 0, []byte("abc"))
	friend.send(wire.TypeEnd, struct{}{})
	friend.wantAnswer("complete", "")

	// Login and ticket are refused, and the answer says what to do.
	refused := func(p *sender) {
		t.Helper()
		p.dial()
		p.send(wire.TypeLogin, wire.Login{TransferID: api.NewID(), Username: "bob", Password: transfertest.BobsPassword})
		p.wantAnswer("forbidden", p.id.PublicKey())
		p.dial()
		p.send(wire.TypeOpen, p.open)
		p.wantAnswer("forbidden", "recv.addAuthorizedClient")
	}
	refused(stranger)

	// Also after a restart.
	s.Stop()
	s.Start()
	refused(stranger)
	if list, only, next, err := s.Receiver.AuthorizedClients(ctx, 0, 10); err != nil || !only || next != 0 || len(list) != 1 || list[0].Description != "a friend" {
		t.Errorf("%+v %t %d %v", list, only, next, err)
	}

	// Authorizing a server and withdrawing it take effect at once.
	if c, made, err := s.Receiver.AddAuthorizedClient(ctx, stranger.id.PublicKey(), ""); err != nil || !made || c.CreateTime == 0 {
		t.Errorf("%+v %t %v", c, made, err)
	}
	stranger.dial()
	stranger.reopen()
	if sources, _, err := s.Receiver.Sources(ctx, "bob", 0, 10); err != nil || len(sources) != 2 ||
		sources[0].SourcePublicKey != stranger.id.PublicKey() || !sources[0].Connected || sources[0].ActiveTransferCount != 1 || sources[0].InactiveTransferCount != 0 ||
		sources[1].Connected || sources[1].CompleteTransferCount != 1 || sources[1].SourceIP != "127.0.0.1" {
		t.Errorf("sources: %+v, %v", sources, err)
	}
	must(t, s.Receiver.RemoveAuthorizedClient(ctx, stranger.id.PublicKey()))
	if status, _ := stranger.answer(); status != "" {
		t.Errorf("the connection of a removed client was answered %s", status)
	}
	refused(stranger)
	if err := s.Receiver.RemoveAuthorizedClient(ctx, stranger.id.PublicKey()); !errors.Is(err, &api.Error{Code: api.CodeNotFound}) {
		t.Errorf("removed twice: %v", err)
	}
	must(t, s.Receiver.AllowOnlyAuthorizedClients(ctx, false))
	stranger.dial()
	stranger.reopen()
}

func TestOnlyPublicKeysCanBeAuthorized(t *testing.T) {
	s := newSite(t, t.TempDir())
	ctx := t.Context()
	id, err := wire.LoadIdentity(t.TempDir())
	must(t, err)
	key := id.PublicKey()
	for _, bad := range []string{"", "x", key[:42], key + "A", key + "=", strings.Repeat("+", 43), key[:42] + " ", "'; DROP TABLE users; --"} {
		if _, _, err := s.Receiver.AddAuthorizedClient(ctx, bad, ""); !errors.Is(err, &api.Error{Code: api.CodeInvalid}) {
			t.Errorf("key %q: %v", bad, err)
		}
	}
	for i, want := range []bool{true, false} {
		if c, made, err := s.Receiver.AddAuthorizedClient(ctx, key, strings.Repeat("x", i+1)); err != nil || made != want || c.Description != "x" {
			t.Errorf("time %d: %+v %t %v", i, c, made, err)
		}
	}
}

func TestSourcesAreThoseOfTheUser(t *testing.T) {
	s := newSite(t, t.TempDir())
	ctx := t.Context()
	for i, row := range []transfer.RecvTransfer{
		{SourcePublicKey: "A", Username: "bob", Status: transfer.StatusComplete, BytesReceived: 1_000_000, StartTime: 1_000_000, EndTime: 3_000_000},
		{SourcePublicKey: "A", Username: "bob", Status: transfer.StatusError, BytesReceived: 500_000, StartTime: 1_000_000, EndTime: 2_000_000, SourceIP: "192.0.2.2"},
		{SourcePublicKey: "B", Username: "eve", Status: transfer.StatusCancelled, StartTime: 5, EndTime: 5},
		{SourcePublicKey: "B", Username: "eve", Status: transfer.StatusReceiving, StartTime: 5},
	} {
		row.TransferID = strings.Repeat("0", 31) + string(rune('a'+i))
		must(t, s.DB.Received().Update(ctx, func(tx transfer.RecvTx) error { return tx.SaveRecvTransfer(&row) }))
	}
	bob, next, err := s.Receiver.Sources(ctx, "bob", 0, 10)
	if err != nil || next != 0 || len(bob) != 1 {
		t.Fatalf("%+v %d %v", bob, next, err)
	}
	if b := bob[0]; b.AveRecvRate != 4000 || b.CompleteTransferCount != 1 || b.ErrorTransferCount != 1 || b.SourceIP != "192.0.2.2" || b.Connected {
		t.Errorf("%+v", b)
	}
	first, next, err := s.Receiver.Sources(ctx, "", 0, 1)
	if err != nil || next == 0 || first[0].SourcePublicKey != "B" || first[0].InactiveTransferCount != 1 || first[0].CancelledTransferCount != 1 || first[0].AveRecvRate != 0 {
		t.Errorf("%+v %d %v", first, next, err)
	}
	second, next, err := s.Receiver.Sources(ctx, "", next, 1)
	if err != nil || next != 0 || len(second) != 1 || second[0].SourcePublicKey != "A" {
		t.Errorf("%+v %d %v", second, next, err)
	}
}

func TestSilentUnauthorizedConnectionDoesNotDelayTheStop(t *testing.T) {
	s := newSite(t, t.TempDir())
	must(t, s.Receiver.AllowOnlyAuthorizedClients(t.Context(), true))
	id, err := wire.LoadIdentity(t.TempDir())
	must(t, err)
	nc, err := net.Dial("tcp", s.Address)
	must(t, err)
	conn, err := wire.Client(t.Context(), nc, id, "", wire.Hello{MinVersion: wire.MinVersion, MaxVersion: wire.MaxVersion})
	must(t, err)
	defer conn.Abort()
	s.Stop() // while the stranger is silent: it does not hold the server up
	if _, _, err := conn.Read(); err == nil {
		t.Error("a stranger got a frame")
	}
}
