package transfer_test

import (
	"context"
	"encoding/base64"
	"maps"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
)

func key(first byte) string {
	return base64.RawURLEncoding.EncodeToString(append([]byte{first}, make([]byte, 31)...))
}

func TestAddressesAreParsedOrRefused(t *testing.T) {
	p := func(n int) *int { return &n }
	for _, c := range []struct {
		address string
		port    *int
		host    string
		number  int
	}{
		{"site-b", nil, "site-b", 8887},
		{"Site-B.Example.", nil, "site-b.example", 8887},
		{"site-b:9000", nil, "site-b", 9000},
		{"site-b:9000", p(9000), "site-b", 9000},
		{"site-b", p(9000), "site-b", 9000},
		{"10.0.0.1:1", nil, "10.0.0.1", 1},
		{"::1", nil, "::1", 8887},
		{"[::1]", p(5), "::1", 5},
		{"[2001:DB8::0:1]:65535", nil, "2001:db8::1", 65535},
		{"::ffff:10.0.0.1", nil, "10.0.0.1", 8887},
	} {
		host, number, err := transfer.ParseAddress(c.address, c.port)
		if err != nil || host != c.host || number != c.number {
			t.Errorf("ParseAddress(%q) = %q, %d, %v; want %q, %d", c.address, host, number, err, c.host, c.number)
		}
	}
	for _, c := range []struct {
		address string
		port    *int
		says    string
	}{
		{"", nil, "names no host"}, {":9", nil, "names no host"}, {"a:0", nil, "from 1 to 65535"},
		{"a:65536", nil, "from 1 to 65535"}, {"a:x", nil, "from 1 to 65535"}, {"a:+1", nil, "from 1 to 65535"}, {"a:9000", p(9001), "another port"},
		{"a:1:2", nil, "[IPv6]:port"}, {"[::1", nil, "[IPv6]:port"}, {"http://a", nil, "without scheme"},
		{"a/b", nil, "without scheme and path"}, {"a b", nil, "letters, digits"}, {"-a", nil, "begins or ends with -"},
		{"a..b", nil, "1 to 63"}, {strings.Repeat("a", 64), nil, "1 to 63"}, {strings.Repeat("a.", 150), nil, "253"},
		{"1.2.3.400", nil, "neither"}, {"0.0.0.0", nil, "one host"}, {"224.0.0.1", nil, "one host"},
		{"a", p(0), "destinationPort"}, {"a", p(70000), "destinationPort"}, {"b\x00c", nil, "letters, digits"},
		{"user@host", nil, "letters, digits"}, {"bücher.example", nil, "xn--"},
	} {
		_, _, err := transfer.ParseAddress(c.address, c.port)
		if e := api.ErrorOf(err); e == nil || e.Code != api.CodeInvalid || !strings.Contains(e.Message, c.says) || len(e.Fields) != 1 {
			t.Errorf("ParseAddress(%q) = %v, want an invalid error that says %q", c.address, err, c.says)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"a", "a:1", "[::1]:1", "::1", "[", "]:1", "1.2.3.4", "a:b:c", "fe80::1%eth0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		host, port, err := transfer.ParseAddress(s, nil)
		if err != nil {
			return
		}
		again, number, err := transfer.ParseAddress(host, &port)
		if err != nil || again != host || number != port {
			t.Errorf("%q gave %q, %d, which gives %q, %d, %v", s, host, port, again, number, err)
		}
		if _, _, err := net.SplitHostPort(net.JoinHostPort(host, "1")); err != nil {
			t.Errorf("%q gave %q, which makes no address: %v", s, host, err)
		}
	})
}

func TestDestinationIsMadeOnceAndQueuesBothEvents(t *testing.T) {
	b, ctx := newBench(t), t.Context()
	rate, pub := int64(100000), key(1)
	d, existing, err := b.CreateDestination(ctx, api.Caller{User: "alice", RequestID: "r1", Depth: 3},
		transfer.DestinationParams{Address: "127.0.0.1:9001", SendRateMax: &rate})
	b.must(err)
	if existing || d.DestinationAddress != "127.0.0.1" || d.DestinationPort != 9001 || d.SendRateMax != rate || d.UserData == nil {
		t.Fatalf("made %+v, existing %v", d, existing)
	}
	again, existing, err := b.CreateDestination(ctx, by("alice"),
		transfer.DestinationParams{Address: "127.0.0.1:9001", PublicKey: &pub, UserData: map[string]string{"a": "b"}})
	b.must(err)
	if !existing || again.DestinationID != d.DestinationID || again.SendRateMax != rate ||
		again.DestinationPublicKey != pub || again.UserData["a"] != "b" {
		t.Fatalf("the second call gave %+v, existing %v", again, existing)
	}
	saved, err := b.LoadDestination(ctx, d.DestinationID)
	b.must(err)
	if saved.DestinationPublicKey != pub || saved.UserData["a"] != "b" {
		t.Errorf("what the second call gave was not saved: %+v", saved)
	}
	other := key(2)
	_, _, err = b.CreateDestination(ctx, by("alice"), transfer.DestinationParams{Address: "127.0.0.1:9001", PublicKey: &other})
	b.refused(err, api.CodeConflict, "expected "+pub, "got "+other, "127.0.0.1:9001")
	b.must(b.DeleteDestination(ctx, api.Caller{User: "alice", RequestID: "r2"}, d.DestinationID, false))
	_, err = b.LoadDestination(ctx, d.DestinationID)
	b.refused(err, api.CodeNotFound, d.DestinationID)
	b.refused(b.DeleteDestination(ctx, by("alice"), d.DestinationID, false), api.CodeNotFound)

	const pair = `{"destination":"127.0.0.1:9001","sender":"127.0.0.1:8887"}`
	runs := b.events()
	if len(runs) != 2 || runs[0].Event != "send.destinationCreated" || runs[1].Event != "send.destinationDeleted" {
		t.Fatalf("queued %+v", runs)
	}
	if string(runs[0].Parameters) != pair || string(runs[1].Parameters) != pair {
		t.Errorf("the events say %s and %s, want %s", runs[0].Parameters, runs[1].Parameters, pair)
	}
	if r := runs[0]; r.User != "alice" || r.RequestID != "r1" || r.Depth != 4 || r.Key != d.DestinationID {
		t.Errorf("the first event's cause is %+v", r)
	}
}

func TestUnresolvableDestinationKeepsItsName(t *testing.T) {
	refuse := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errTest }}
	for external, sender := range map[string]string{
		"":                  "192.0.2.7:8887",
		"send.example":      "send.example:8887",
		"send.example:4000": "send.example:4000",
		"2001:db8::5":       "[2001:db8::5]:8887",
	} {
		b := newBench(t, func(o *transfer.Options) {
			o.Resolver, o.ExternalAddress, o.RecvHost = refuse, external, "192.0.2.7"
		})
		d, _, err := b.CreateDestination(t.Context(), by("alice"), transfer.DestinationParams{Address: "Nowhere.invalid"})
		b.must(err)
		if d.DestinationIP != "nowhere.invalid" || d.Destination != "nowhere.invalid:8887" || d.Sender != sender {
			t.Errorf("with external address %q: %+v, want the name itself and sender %s", external, d, sender)
		}
	}
}

// countedStore counts the transactions.
type countedStore struct {
	transfer.Store
	updates atomic.Int64
}

func (s *countedStore) Update(ctx context.Context, fn func(transfer.Tx) error) error {
	s.updates.Add(1)
	return s.Store.Update(ctx, fn)
}

// Scripts call send.createDestination before each transfer.
func TestKnownDestinationNeedsNoWriteAndNoLookup(t *testing.T) {
	var asked atomic.Int64
	store := &countedStore{}
	b := newBench(t, func(o *transfer.Options) {
		store.Store = o.Store
		o.Store = store
		o.Resolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
			asked.Add(1)
			return nil, errTest
		}}
	})
	b.stop() // in the background it writes as well
	rate, other, pub := int64(100), int64(200), key(1)
	same := transfer.DestinationParams{Address: "Nowhere.invalid", SendRateMax: &rate, PublicKey: &pub, UserData: map[string]string{"a": "b"}}
	for i, c := range []struct {
		user          string
		change        func(*transfer.DestinationParams)
		writes, names bool
	}{
		{"alice", func(*transfer.DestinationParams) {}, true, true},
		{"alice", func(*transfer.DestinationParams) {}, false, false},
		{"alice", func(p *transfer.DestinationParams) { p.SendRateMax, p.PublicKey, p.UserData = nil, nil, nil }, false, false},
		{"alice", func(p *transfer.DestinationParams) { p.Address = "nowhere.invalid:8887" }, false, false},
		{"alice", func(p *transfer.DestinationParams) { p.SendRateMax = &other }, true, false},
		{"alice", func(p *transfer.DestinationParams) { p.UserData = map[string]string{} }, true, false},
		{"bob", func(*transfer.DestinationParams) {}, true, true},
	} {
		p := same
		c.change(&p)
		updates, names := store.updates.Load(), asked.Load()
		_, existing, err := b.CreateDestination(t.Context(), by(c.user), p)
		b.must(err)
		if wrote, resolved := store.updates.Load() > updates, asked.Load() > names; wrote != c.writes || resolved != c.names || existing == c.names {
			t.Errorf("call %d: wrote %t, asked for the name %t, existing %t", i, wrote, resolved, existing)
		}
	}
}

func TestSilentNameServerIsWaitedForTwoSeconds(t *testing.T) {
	silent := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	b := newBench(t, func(o *transfer.Options) { o.Resolver = silent })
	began := time.Now()
	d, _, err := b.CreateDestination(t.Context(), by("alice"), transfer.DestinationParams{Address: "silent.invalid"})
	b.must(err)
	if took := time.Since(began); took < 1900*time.Millisecond || took > 20*time.Second || d.Destination != "silent.invalid:8887" {
		t.Errorf("after %v: %+v, want the name itself after 2 s", took, d)
	}
}

func TestConcurrentCreatesMakeOneDestination(t *testing.T) {
	b := newBench(t)
	var wg sync.WaitGroup
	ids := make([]string, 40)
	var made sync.Map
	for i := range ids {
		wg.Go(func() {
			d, existing, err := b.CreateDestination(t.Context(), by("alice"), transfer.DestinationParams{Address: "localhost"})
			if err != nil {
				t.Error(err)
			}
			ids[i] = d.DestinationID
			if !existing {
				made.Store(i, true)
			}
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Fatalf("two destinations were made: %s and %s", ids[0], id)
		}
	}
	n := 0
	made.Range(func(any, any) bool { n++; return true })
	if runs := b.events(); n != 1 || len(runs) != 1 {
		t.Errorf("%d calls say that they made it and %d events are queued, want 1 and 1", n, len(runs))
	}
	d, _, err := b.CreateDestination(t.Context(), by("bob"), transfer.DestinationParams{Address: "localhost"})
	b.must(err)
	if d.DestinationID == ids[0] {
		t.Error("two users share a destination")
	}
}

func TestBadDestinationsAreRefused(t *testing.T) {
	b := newBench(t)
	minus, bad, empty := int64(-1), "not a key", ""
	big := map[string]string{"k": strings.Repeat("x", 20000)}
	for _, p := range []transfer.DestinationParams{
		{Address: "a b"}, {Address: "a", SendRateMax: &minus}, {Address: "a", PublicKey: &bad},
		{Address: "a", PublicKey: &empty}, {Address: "a", UserData: big},
	} {
		_, _, err := b.CreateDestination(t.Context(), by("alice"), p)
		b.refused(err, api.CodeInvalid)
	}
	if runs := b.events(); len(runs) != 0 {
		t.Errorf("refused calls queued %d events", len(runs))
	}
}

func TestDestinationInUseIsDeletedOnlyByForce(t *testing.T) {
	b, ctx := newBench(t), t.Context()
	x := b.transfer()
	if d, err := b.LoadDestination(ctx, x.DestinationID); err != nil || d.NumTransfersQueued != 1 {
		t.Errorf("the destination counts %d transfers (%v), want 1", d.NumTransfersQueued, err)
	}
	b.refused(b.DeleteDestination(ctx, by("alice"), x.DestinationID, false), api.CodeConflict, x.DestinationID, "force")
	b.must(b.DeleteDestination(ctx, by("alice"), x.DestinationID, true))
	got, err := b.LoadTransfer(ctx, x.TransferID)
	b.must(err)
	if got.Status != transfer.StatusCancelled || got.Processing || !got.TellPeer || got.SealedPassword != nil {
		t.Errorf("after a forced delete the transfer is %+v", got)
	}
	if runs := b.events(); len(runs) != 2 {
		t.Errorf("%d events are queued, want created and deleted", len(runs))
	}
}

func TestUpdateChangesOnlyGivenFieldsOfADestination(t *testing.T) {
	b, ctx := newBench(t), t.Context()
	d := b.destination(9000)
	b.must(b.PinKey(ctx, d.DestinationID, key(1)))
	update := func(c transfer.DestinationChange) transfer.Destination {
		t.Helper()
		got, err := b.UpdateDestination(ctx, api.Caller{User: "alice", RequestID: "r"}, d.DestinationID, c)
		b.must(err)
		saved, err := b.LoadDestination(ctx, d.DestinationID)
		if b.must(err); saved.DestinationPublicKey != got.DestinationPublicKey || saved.SendRateMax != got.SendRateMax || !maps.Equal(saved.UserData, got.UserData) {
			t.Errorf("it answers %+v and keeps %+v", got, saved)
		}
		return got
	}
	rate, other, none := int64(100000), key(2), ""
	got := update(transfer.DestinationChange{SendRateMax: &rate, UserData: map[string]string{"a": "b"}})
	if got.SendRateMax != rate || got.UserData["a"] != "b" || got.DestinationPublicKey != key(1) {
		t.Errorf("rate and data: %+v", got)
	}
	got = update(transfer.DestinationChange{PublicKey: &other})
	if got.SendRateMax != rate || got.UserData["a"] != "b" || got.DestinationPublicKey != other {
		t.Errorf("another key: %+v", got)
	}
	b.refused(b.PinKey(ctx, d.DestinationID, key(1)), api.CodeConflict)
	if got = update(transfer.DestinationChange{PublicKey: &none, UserData: map[string]string{}}); got.DestinationPublicKey != "" || len(got.UserData) != 0 {
		t.Errorf("no key and no data: %+v", got)
	}
	b.must(b.PinKey(ctx, d.DestinationID, key(3))) // the next that is seen
	short, negative := "short", int64(-1)
	_, err := b.UpdateDestination(ctx, by("alice"), d.DestinationID, transfer.DestinationChange{PublicKey: &short})
	b.refused(err, api.CodeInvalid, "destinationPublicKey")
	_, err = b.UpdateDestination(ctx, by("alice"), d.DestinationID, transfer.DestinationChange{SendRateMax: &negative})
	b.refused(err, api.CodeInvalid, "sendRateMax")
	_, err = b.UpdateDestination(ctx, by("alice"), "none", transfer.DestinationChange{SendRateMax: &rate})
	b.refused(err, api.CodeNotFound, "none")
	_, _, err = b.CreateDestination(ctx, by("alice"), transfer.DestinationParams{Address: "127.0.0.1:9000", PublicKey: &none})
	b.refused(err, api.CodeInvalid, "destinationPublicKey")
	if last := update(transfer.DestinationChange{}); last.DestinationPublicKey != key(3) || last.SendRateMax != rate {
		t.Errorf("after refusals: %+v", last)
	}
}

func TestPinKeyKeepsTheFirst(t *testing.T) {
	b, ctx := newBench(t), t.Context()
	d := b.destination(9000)
	b.must(b.PinKey(ctx, d.DestinationID, key(1)))
	b.must(b.PinKey(ctx, d.DestinationID, key(1)))
	b.refused(b.PinKey(ctx, d.DestinationID, key(2)), api.CodeConflict,
		"the key of 127.0.0.1:9000 has changed: expected "+key(1)+", got "+key(2), "send.updateDestination")
	b.refused(b.PinKey(ctx, d.DestinationID, "short"), api.CodeInvalid)
	b.refused(b.PinKey(ctx, "none", key(1)), api.CodeNotFound)
}

func TestLastContactWithADestinationIsSaved(t *testing.T) {
	b, ctx := newBench(t), t.Context()
	d := b.destination(9000)
	b.Unreached(d.DestinationID, api.Wrap(errTest, api.CodeUnavailable, "127.0.0.1:9000 does not answer"))
	d, err := b.LoadDestination(ctx, d.DestinationID)
	b.must(err)
	if d.LastErrorMessage != "127.0.0.1:9000 does not answer" || d.LastSendTime != 0 {
		t.Errorf("after a failure: %+v", d)
	}
	b.Reached(d.DestinationID)
	d, err = b.LoadDestination(ctx, d.DestinationID)
	b.must(err)
	if d.LastErrorMessage != "" || d.LastSendTime == 0 {
		t.Errorf("after a success: %+v", d)
	}
	b.Reached("gone") // no panic, no log, nothing made
}
