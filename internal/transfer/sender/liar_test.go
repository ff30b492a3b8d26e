package sender_test

import (
	"net"
	"strings"
	"sync"
	"testing"

	"jetstream/internal/transfer"
	"jetstream/internal/transfer/wire"
)

// liar is a receiver that issues a ticket, then answers Open, or DryRun, by lie.
func liar(t *testing.T, id *wire.Identity, lie func(conn *wire.Conn)) (address string) {
	t.Helper()
	return laneLiar(t, id, lie, func(*wire.Conn) {})
}

// laneLiar is a liar that answers Join by lane.
func laneLiar(t *testing.T, id *wire.Identity, lie, lane func(conn *wire.Conn)) (address string) {
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
			wg.Go(func() {
				conn, err := wire.Server(t.Context(), nc, id, wire.Hello{MinVersion: wire.MinVersion, MaxVersion: wire.MaxVersion, Software: "liar"})
				if err != nil {
					return
				}
				defer conn.Close()
				for {
					switch h, _, err := conn.Read(); {
					case err != nil:
						return
					case h.Type == wire.TypeLogin:
						_ = conn.Send(wire.TypeTicket, wire.Ticket{Ticket: make([]byte, 32)})
					case h.Type == wire.TypeOpen || h.Type == wire.TypeDryRun:
						lie(conn)
					case h.Type == wire.TypeJoin:
						lane(conn)
					case h.Type == wire.TypeCancel:
						_ = conn.Send(wire.TypeOutcome, wire.Outcome{Status: "error"})
						return
					}
				}
			})
		}
	})
	return ln.Addr().String()
}

// joinable lets lanes join.
func joinable(r wire.Resume) wire.Resume {
	r.Session, r.Lanes = make([]byte, wire.SessionSize), 4
	return r
}

// untilEnd reads what is sent, up to End.
func untilEnd(conn *wire.Conn) {
	for {
		if h, _, err := conn.Read(); err != nil || h.Type == wire.TypeEnd {
			return
		}
	}
}

// Whatever a receiver claims that cannot be true ends the transfer as its
// fault: never as success, never as a fault of the source.
func TestALyingReceiverIsNotBelieved(t *testing.T) {
	a := newSite(t)
	id, err := wire.LoadIdentity(t.TempDir()) // one, since ports come again
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"1", "2", "3"} {
		a.put("src/"+name, []byte("0123456789"))
	}
	const files, bytes = 3, 30
	resume := func(r wire.Resume) func(*wire.Conn) {
		return func(conn *wire.Conn) { _ = conn.Send(wire.TypeResume, joinable(r)); untilEnd(conn) }
	}
	ends := func(o wire.Outcome) func(*wire.Conn) {
		return func(conn *wire.Conn) {
			_ = conn.Send(wire.TypeResume, joinable(wire.Resume{}))
			untilEnd(conn)
			_ = conn.Send(wire.TypeOutcome, o)
		}
	}
	for name, c := range map[string]struct {
		lie  func(*wire.Conn)
		want string
	}{
		"complete with nothing":     {ends(wire.Outcome{Status: "complete"}), "it is not believed"},
		"complete with less":        {ends(wire.Outcome{Status: "complete", Files: files - 1, Bytes: bytes - 10}), "it is not believed"},
		"complete with more":        {ends(wire.Outcome{Status: "complete", Files: files + 1, Bytes: bytes}), "it is not believed"},
		"complete with other bytes": {ends(wire.Outcome{Status: "complete", Files: files, Bytes: bytes - 1}), "it is not believed"},
		"skipped unasked":           {ends(wire.Outcome{Status: "complete", SkippedFiles: files, SkippedBytes: bytes}), "it is not believed"},
		"sums that overflow": {ends(wire.Outcome{Status: "complete", Files: 1 << 62, SkippedFiles: 1 << 62, Bytes: -1 << 62, SkippedBytes: 1 << 62}),
			"it is not believed"},
		"complete at once": {func(conn *wire.Conn) {
			_ = conn.Send(wire.TypeOutcome, wire.Outcome{Status: "complete", Files: files, Bytes: bytes})
		}, "of which nothing was sent"},
		"an unknown end":          {ends(wire.Outcome{Status: "fine\x1b[2J"}), "it answered the status"},
		"resume behind the list":  {resume(wire.Resume{Index: 9}), "entry 9"},
		"resume at the end":       {resume(wire.Resume{Index: 1 << 62, Offset: 1 << 62}), "which the manifest does not have"},
		"resume before the list":  {resume(wire.Resume{Index: -1}), "entry -1"},
		"resume before a file":    {resume(wire.Resume{Index: 1, Offset: -5}), "offset -5"},
		"resume behind a file":    {resume(wire.Resume{Index: 1, Offset: 11}), "offset 11"},
		"resume in a directory":   {resume(wire.Resume{Index: 0, Offset: 1}), "offset 1"},
		"resume with more files":  {resume(wire.Resume{Files: files + 1}), "4 files"},
		"resume with less than 0": {resume(wire.Resume{Bytes: -1}), "-1 bytes"},
		"resume without a secret": {func(conn *wire.Conn) { _ = conn.Send(wire.TypeResume, wire.Resume{Lanes: 4}); untilEnd(conn) }, "4 lanes"},
		"resume without lanes": {func(conn *wire.Conn) {
			_ = conn.Send(wire.TypeResume, wire.Resume{Session: make([]byte, wire.SessionSize)})
			untilEnd(conn)
		}, "0 lanes"},
		"resume to skip unasked": {resume(wire.Resume{AnswersSkip: true}), "choose what is sent"},
		"progress beyond the end": {func(conn *wire.Conn) {
			_ = conn.Send(wire.TypeResume, joinable(wire.Resume{}))
			_ = conn.Send(wire.TypeProgress, wire.Progress{Files: 1, Bytes: bytes + 1})
			untilEnd(conn)
		}, "it confirms 1 files and 31 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			got := a.wait(a.send(nil, job{to: liar(t, id, c.lie)}))
			if got.Status != transfer.StatusError || !strings.Contains(got.ErrorMessage, c.want) ||
				strings.Contains(got.ErrorMessage, "source") || strings.Contains(got.ErrorMessage, "\x1b") {
				t.Errorf("it ended as %s: %q, want error ...%s...", got.Status, got.ErrorMessage, c.want)
			}
		})
	}
	t.Run("skips where nobody asked", func(t *testing.T) {
		address := liar(t, id, func(conn *wire.Conn) {
			_ = conn.Send(wire.TypeResume, joinable(wire.Resume{}))
			for range 20 { // more than are kept
				_ = conn.Send(wire.TypeSkip, wire.Skip{Indices: []int64{1}})
			}
			untilEnd(conn)
		})
		got := a.wait(a.send(nil, job{to: address}))
		if got.Status != transfer.StatusError || !strings.Contains(got.ErrorMessage, "type 7 is out of place") {
			t.Errorf("it ended as %s: %q", got.Status, got.ErrorMessage)
		}
	})
	t.Run("skips what it was not asked about", func(t *testing.T) {
		address := liar(t, id, func(conn *wire.Conn) {
			_ = conn.Send(wire.TypeResume, joinable(wire.Resume{AnswersSkip: true}))
			_ = conn.Send(wire.TypeSkip, wire.Skip{Indices: []int64{77}})
			untilEnd(conn)
		})
		got := a.wait(a.send(nil, job{to: address, conflict: "skip"}))
		if got.Status != transfer.StatusError || !strings.Contains(got.ErrorMessage, "skip entry 77") {
			t.Errorf("it ended as %s: %q", got.Status, got.ErrorMessage)
		}
	})
}

// What a receiver says on a lane is believed no more.
func TestALyingLaneIsNotBelieved(t *testing.T) {
	a := newSite(t)
	id, err := wire.LoadIdentity(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	a.put("src/1", []byte("0123456789"))
	for name, c := range map[string]struct {
		lie  func(*wire.Conn)
		want string
	}{
		"acknowledges what was not sent": {func(conn *wire.Conn) { _ = conn.Ack(1 << 40) }, "it acknowledges 1099511627776 chunks"},
		"a message":                      {func(conn *wire.Conn) { _ = conn.Send(wire.TypeProgress, wire.Progress{}) }, "a frame of type 9 is out of place"},
		"data": {func(conn *wire.Conn) {
			_ = conn.WriteFrames(wire.AppendFrame(nil, wire.Header{Type: wire.TypeData}, []byte("x")), nil)
		}, "a frame of type 8 is out of place"},
	} {
		t.Run(name, func(t *testing.T) {
			address := laneLiar(t, id, func(conn *wire.Conn) {
				_ = conn.Send(wire.TypeResume, joinable(wire.Resume{}))
				untilEnd(conn)
			}, c.lie)
			got := a.wait(a.send(nil, job{to: address}))
			if got.Status != transfer.StatusError || !strings.Contains(got.ErrorMessage, c.want) {
				t.Errorf("it ended as %s: %q, want error ...%s...", got.Status, got.ErrorMessage, c.want)
			}
		})
	}
}

// A server that speaks only the former version of the protocol is refused by
// both ends, in a sentence with both versions.
func TestFormerProtocolIsRefused(t *testing.T) {
	a := newSite(t)
	a.put("src/1", []byte("x"))
	id, err := wire.LoadIdentity(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	old := wire.Hello{MinVersion: 4, MaxVersion: 4, Software: "JetStream of last year"}
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
			_, _ = wire.Server(t.Context(), nc, id, old)
		}
	})
	got := a.wait(a.send(nil, job{to: ln.Addr().String()}))
	const want = "(test) speaks version 5, the other (JetStream of last year) version 4; update the older one"
	if got.Status != transfer.StatusError || !strings.Contains(got.ErrorMessage, want) {
		t.Errorf("it ended as %s: %q, want ...%s...", got.Status, got.ErrorMessage, want)
	}

	nc, err := net.Dial("tcp", a.Address)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := wire.Client(t.Context(), nc, id, "", old); err == nil || !strings.Contains(err.Error(), "speaks version 4, the other") ||
		!strings.Contains(err.Error(), "version 5") {
		t.Errorf("an old sender was answered %v", err)
	}
}
