//go:build unix

package receiver_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/wire"
	"jetstream/internal/transfertest"
)

func conflict(t *testing.T, err error, message string) {
	t.Helper()
	if e, ok := errors.AsType[*api.Error](err); !ok || e.Code != api.CodeConflict || !strings.Contains(e.Message, message) {
		t.Errorf("it answers %v, want conflict: ...%s...", err, message)
	}
}

// Neither the ticket nor a new one opens a cancelled transfer again.
func TestCancelledTransferStaysClosed(t *testing.T) {
	s := newSite(t, t.TempDir())
	p := newSender(t, s)
	p.begin(wire.Entry{Name: "/f", Size: 6, Mode: 0o600})
	p.data(0, 0, []byte("abc"))
	if _, err := s.Receiver.Cancel(t.Context(), api.Caller{User: "bob"}, p.xfer); err != nil {
		t.Fatal(err)
	}
	const told = "cancelled at the receiver by user bob"
	p.wantAnswer("cancelled", told)
	for range 2 {
		p.dial()
		p.send(wire.TypeOpen, p.open)
		p.wantAnswer("cancelled", told)
		p.dial()
		p.login("bob", transfertest.BobsPassword)
		p.open.Ticket = p.ticket
		p.send(wire.TypeOpen, p.open)
		p.wantAnswer("cancelled", told)
		s.Stop()
		s.Start()
	}
	if names := s.names(); len(names) != 0 {
		t.Errorf("%v is left", names)
	}
	_, err := s.Receiver.Cancel(t.Context(), api.Caller{User: "bob"}, p.xfer)
	conflict(t, err, "already ended")
}

func TestTransferCanBeCancelledBeforeItIsOpened(t *testing.T) {
	s := newSite(t, t.TempDir())
	p := newSender(t, s)
	if _, err := s.Receiver.Cancel(t.Context(), api.Caller{Superuser: true}, p.xfer); err != nil {
		t.Fatal(err)
	}
	p.open.Ticket = p.ticket
	p.send(wire.TypeOpen, p.open)
	p.wantAnswer("cancelled", "cancelled at the receiver by a superuser")
	if row := s.Received(p.xfer); row.ErrorMessage != "cancelled at the receiver by a trigger script" {
		t.Errorf("the receiver says %q", row.ErrorMessage)
	}
}

// pausing is a store that waits once all entries are recorded, before files are
// renamed.
type pausing struct {
	transfer.RecvStore
	once        sync.Once
	named, goOn chan struct{}
}

func (p *pausing) Update(ctx context.Context, fn func(transfer.RecvTx) error) error {
	names := false
	err := p.RecvStore.Update(ctx, func(tx transfer.RecvTx) error { return fn(naming{tx, &names}) })
	if names {
		p.once.Do(func() { close(p.named); <-p.goOn })
	}
	return err
}

type naming struct {
	transfer.RecvTx
	names *bool
}

func (n naming) SaveRecvTransfer(t *transfer.RecvTransfer) error {
	*n.names = t.Finishing
	return n.RecvTx.SaveRecvTransfer(t)
}

func TestFinishingTransferCannotBeCancelled(t *testing.T) {
	s := newSite(t, t.TempDir())
	s.Stop()
	store := &pausing{named: make(chan struct{}), goOn: make(chan struct{})}
	s.restart(func(st transfer.RecvStore) transfer.RecvStore { store.RecvStore = st; return store })
	p := newSender(t, s)
	p.begin(wire.Entry{Name: "/a", Mode: 0o600}, wire.Entry{Name: "/b", Mode: 0o600}, wire.Entry{Name: "/c", Mode: 0o600})
	p.send(wire.TypeEnd, struct{}{})
	<-store.named
	_, err := s.Receiver.Cancel(t.Context(), api.Caller{User: "bob"}, p.xfer)
	conflict(t, err, "cannot be cancelled any more")
	close(store.goOn)
	p.wantAnswer("complete", "")
	if names := s.names(); !slices.Equal(names, []string{"a", "b", "c"}) || s.completed() != 1 {
		t.Errorf("%v are there, with %d events", names, s.completed())
	}
}

// watch is answer that also calls finishing when the receiver begins to finish.
// opened is closed when lanes may join, or there is an answer.
func (p *sender) watch(opened chan struct{}, finishing func()) string {
	once := sync.OnceFunc(func() { close(opened) })
	defer once()
	for {
		h, payload, err := p.conn.Read()
		var said struct {
			Finishing bool   `json:"finishing"`
			Status    string `json:"status"`
		}
		if err != nil || wire.Decode(payload, &said) != nil || h.Type == wire.TypeFailure {
			return ""
		}
		switch {
		case h.Type == wire.TypeResume:
			_ = wire.Decode(payload, &p.resume)
			once()
		case h.Type == wire.TypeOutcome:
			return said.Status
		case said.Finishing:
			finishing()
		}
	}
}

// A transfer that is cancelled at any point is cancelled and without files, or
// complete with all files.
func TestCancelIsAllOrNothing(t *testing.T) {
	s := newSite(t, t.TempDir())
	ended := map[transfer.Status]int{}
	complete := 0
	for round := range 70 {
		p := newSender(t, s)
		target := "/" + p.xfer
		p.open.DestinationPath = wire.Name(target)
		entries := []wire.Entry{{Name: "/a", Size: 3, Mode: 0o600}, {Name: "/b", Size: 3, Mode: 0o600}}
		p.open.TotalFiles, p.open.TotalBytes, p.open.Ticket = 2, 6, p.ticket
		cancelled := make(chan error, 1)
		cancel := func() { _, err := s.Receiver.Cancel(t.Context(), api.Caller{User: "bob"}, p.xfer); cancelled <- err }
		answer, finishing, opened := "", make(chan struct{}), make(chan struct{})
		go func() {
			defer close(finishing)
			answer = p.watch(opened, func() { finishing <- struct{}{} })
		}()
		steps := []func(){
			func() { p.send(wire.TypeOpen, p.open); <-opened },
			func() { p.announce(0, entries) },
			func() { p.data(0, 0, []byte("aaa")) },
			func() { p.data(1, 0, []byte("bbb")) },
			func() { p.send(wire.TypeEnd, struct{}{}) },
			func() { <-finishing }, // or the answer
			func() {},
		}
		for i, step := range steps {
			if i == round%len(steps) {
				go cancel()
			}
			step()
		}
		for range finishing { // until it has the answer
		}
		status := answer
		err := <-cancelled
		if status == "" { // the connection gave way first
			p.dial()
			p.send(wire.TypeOpen, p.open)
			status, _ = p.answer()
		}
		row := s.Received(p.xfer)
		ended[row.Status]++
		if status != string(row.Status) {
			t.Errorf("the sender was told %s, and it is %s", status, row.Status)
		}
		switch row.Status {
		case transfer.StatusComplete:
			complete++
			conflict(t, err, "")
		case transfer.StatusCancelled:
			if err != nil {
				t.Errorf("it is cancelled, and Cancel says %v", err)
			}
		default:
			t.Fatalf("it is %s: %s", row.Status, row.ErrorMessage)
		}
		var files []string
		list, err := os.ReadDir(filepath.Join(s.Sandbox, target))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		for _, e := range list {
			files = append(files, e.Name())
		}
		if want := map[transfer.Status]int{transfer.StatusComplete: 2}[row.Status]; len(files) != want {
			t.Errorf("it is %s, and there are %v", row.Status, files)
		}
	}
	if s.completed() != complete {
		t.Errorf("%d events for %d complete transfers", s.completed(), complete)
	}
	t.Logf("ended as %v", ended)
	if len(ended) != 2 {
		t.Errorf("all ended alike, as %v: no cancel came in time, or none too late", ended)
	}
}

func TestStopDuringTheStartIsNoError(t *testing.T) {
	s := newSite(t, t.TempDir())
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Receiver.Serve(ctx, ln); err != nil {
		t.Errorf("Serve: %v", err)
	}
}
