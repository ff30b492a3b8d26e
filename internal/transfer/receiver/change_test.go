//go:build unix

package receiver_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"jetstream/internal/transfer"
	"jetstream/internal/transfer/wire"
)

// change announces a version of entry 0 and returns which one the receiver expects.
func (p *sender) change(c wire.FileChanged) wire.FileExpected {
	p.t.Helper()
	p.send(wire.TypeFileChanged, c)
	for {
		h, payload, err := p.conn.Read()
		if err != nil {
			p.t.Fatal(err)
		}
		var e wire.FileExpected
		switch h.Type {
		case wire.TypeProgress, wire.TypeSkip:
		case wire.TypeFileExpected:
			if err := wire.Decode(payload, &e); err != nil {
				p.t.Fatal(err)
			}
			return e
		default:
			p.t.Fatalf("the change was answered by frame %d %s", h.Type, payload)
		}
	}
}

// version sends a chunk of a version of a file.
func (p *sender) version(version int, index, offset int64, payload string) {
	p.t.Helper()
	p.frame(wire.AppendFrame(nil, wire.Header{Type: wire.TypeData, Version: version, Index: index, Offset: offset}, []byte(payload)))
}

// Of a file that changes only the last version counts, and a file that is whole stays.
func TestChunksOfFormerVersionsArePassedOver(t *testing.T) {
	s := newSite(t, t.TempDir())
	p := newSender(t, s)
	p.begin(wire.Entry{Name: "/f", Size: 6, Mode: 0o600}, wire.Entry{Name: "/g", Size: 2, Mode: 0o600})
	p.version(0, 0, 0, "ab")
	if e := p.change(wire.FileChanged{Size: 8, Mode: 0o640, ModTime: 1e18, Version: 1}); e.Version != 1 {
		t.Fatalf("it expects version %d, want 1", e.Version)
	}
	p.version(0, 0, 2, "cdef") // was on its way
	p.version(1, 0, 6, "78")
	if e := p.change(wire.FileChanged{Size: 4, Mode: 0o640, ModTime: 1e18, Version: 2}); e.Version != 2 {
		t.Fatalf("it expects version %d, want 2", e.Version)
	}
	p.version(1, 0, 0, "123456")
	p.version(0, 0, 0, "ab")
	p.version(2, 0, 2, "YZ")
	p.version(2, 0, 0, "WX")
	if e := p.change(wire.FileChanged{Size: 1, Version: 3}); e.Version != 2 {
		t.Errorf("of a whole file it expects version %d, want that it stays 2", e.Version)
	}
	if e := p.change(wire.FileChanged{Index: 1, Size: 0, Mode: 0o600, Version: 1}); e.Version != 1 {
		t.Errorf("it expects version %d, want 1", e.Version)
	}
	p.send(wire.TypeEnd, struct{}{})
	for {
		h, payload, err := p.conn.Read()
		if err != nil {
			t.Fatal(err)
		}
		if h.Type != wire.TypeOutcome {
			continue
		}
		var o wire.Outcome
		if err := wire.Decode(payload, &o); err != nil || o.Status != "complete" || o.Files != 2 || o.Bytes != 4 || o.Grown != -4 {
			t.Errorf("the outcome is %+v (%v), want 2 files and 4 bytes, 4 less than in the list", o, err)
		}
		break
	}
	for name, want := range map[string]string{"f": "WXYZ", "g": ""} {
		if got, err := os.ReadFile(filepath.Join(s.Sandbox, name)); string(got) != want || err != nil {
			t.Errorf("%s holds %q (%v), want %q", name, got, err, want)
		}
	}
	if fi, err := os.Stat(filepath.Join(s.Sandbox, "f")); err != nil || fi.Mode() != 0o640 || fi.ModTime().UnixNano() != 1e18 {
		t.Errorf("the file has mode and time %v of the last version (%v)", fi, err)
	}
	if r := s.Received(p.xfer); r.TotalSize != 4 || r.BytesReceived != 4 {
		t.Errorf("%d of %d bytes are recorded, want 4 of 4", r.BytesReceived, r.TotalSize)
	}
}

// A checkpoint of a former version does not outlive it.
func TestCheckpointOfAFormerVersionIsForgotten(t *testing.T) {
	s := newSite(t, t.TempDir())
	s.Stop()
	store := &marking{saved: make(chan int64)}
	s.restart(func(st transfer.RecvStore) transfer.RecvStore { store.RecvStore = st; return store })
	p := newSender(t, s)
	p.open.CheckpointSeconds = 1
	first := wire.Entry{Name: "/f", Size: 2 * wire.MaxData, Mode: 0o600, ModTime: 1}
	p.begin(first)
	p.data(0, 0, bytes.Repeat([]byte("a"), wire.MaxData))
	<-store.saved
	// Another file of the same size and time, of which nothing is synced.
	p.change(wire.FileChanged{Size: first.Size, Mode: first.Mode, ModTime: first.ModTime, Version: 1})
	s.Stop() // forgets what it had in memory
	s.restart(nil)
	p.dial()
	if r := p.reopen(); r.Index != 0 || r.Offset != 0 || r.Bytes != 0 {
		t.Fatalf("it goes on at entry %d, offset %d with %d bytes, want the beginning", r.Index, r.Offset, r.Bytes)
	}
}

// What is there of a file counts only for the same file.
func TestPartOfAnotherFileIsDiscarded(t *testing.T) {
	s := newSite(t, t.TempDir())
	p := newSender(t, s)
	p.begin(wire.Entry{Name: "/f", Size: 6, Mode: 0o600, ModTime: 1})
	p.change(wire.FileChanged{Size: 10, Mode: 0o600, ModTime: 2, Version: 1})
	p.version(1, 0, 0, "abcd")
	p.dial()
	if r := p.reopen(); r.Offset != 4 || r.Size != 10 || r.ModTime != 2 || r.Grown != 0 {
		t.Fatalf("it goes on with %+v, want offset 4 of the file of 10 bytes", r)
	}
	p.announce(0, []wire.Entry{{Name: "/f", Size: 10, Mode: 0o600, ModTime: 2, Grown: 4}})
	p.data(0, 4, []byte("ef"))
	p.dial()
	if r := p.reopen(); r.Offset != 6 {
		t.Fatalf("it goes on at offset %d, want 6", r.Offset)
	}
	p.announce(0, []wire.Entry{{Name: "/f", Size: 7, Mode: 0o600, ModTime: 2, Grown: 1}})
	p.data(0, 3, []byte("DEFG"))
	p.data(0, 0, []byte("ABC"))
	p.send(wire.TypeEnd, struct{}{})
	p.wantAnswer("complete", "")
	if got, err := os.ReadFile(filepath.Join(s.Sandbox, "f")); string(got) != "ABCDEFG" {
		t.Errorf("the file holds %q (%v)", got, err)
	}
}

func TestChangesAgainstTheRulesEndTheConnection(t *testing.T) {
	s := newSite(t, t.TempDir())
	if err := os.WriteFile(filepath.Join(s.Sandbox, "there"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	begin := func(p *sender) {
		p.open.Conflict = "skip"
		p.begin(wire.Entry{Name: "/f", Size: 10, Mode: 0o600}, wire.Entry{Name: "/d", Dir: true}, wire.Entry{Name: "/there", Size: 3})
	}
	for name, act := range map[string]func(p *sender){
		"of a directory":     func(p *sender) { p.send(wire.TypeFileChanged, wire.FileChanged{Index: 1, Version: 1}) },
		"of a skipped file":  func(p *sender) { p.send(wire.TypeFileChanged, wire.FileChanged{Index: 2, Version: 1}) },
		"of no entry":        func(p *sender) { p.send(wire.TypeFileChanged, wire.FileChanged{Index: 3, Version: 1}) },
		"before the list":    func(p *sender) { p.send(wire.TypeFileChanged, wire.FileChanged{Index: -1, Version: 1}) },
		"of a later version": func(p *sender) { p.send(wire.TypeFileChanged, wire.FileChanged{Version: 2}) },
		"of the same":        func(p *sender) { p.send(wire.TypeFileChanged, wire.FileChanged{}) },
		"to less than none":  func(p *sender) { p.send(wire.TypeFileChanged, wire.FileChanged{Size: -1, Version: 1}) },
		"to too much":        func(p *sender) { p.send(wire.TypeFileChanged, wire.FileChanged{Size: 1 << 62, Version: 1}) },
		"again and again": func(p *sender) {
			for v := range wire.MaxChanges {
				p.change(wire.FileChanged{Size: 10, Version: v + 1})
			}
			p.send(wire.TypeFileChanged, wire.FileChanged{Size: 10, Version: wire.MaxChanges + 1})
		},
		"after its data":             func(p *sender) { p.version(1, 0, 0, "0123456789") },
		"behind the end of it":       func(p *sender) { p.change(wire.FileChanged{Size: 3, Version: 1}); p.version(1, 0, 2, "cd") },
		"in the list, to too much":   func(p *sender) { p.announce(3, []wire.Entry{{Name: "/h", Size: 1 << 62, Grown: 1 << 62}}) },
		"in the list, to less":       func(p *sender) { p.announce(3, []wire.Entry{{Name: "/h", Size: 1, Grown: -1 << 63}}) },
		"in the list, by more":       func(p *sender) { p.announce(3, []wire.Entry{{Name: "/h", Size: 1, Grown: 2}}) },
		"in the list, a directory's": func(p *sender) { p.announce(3, []wire.Entry{{Name: "/h", Dir: true, Grown: 1}}) },
	} {
		t.Run(name, func(t *testing.T) {
			p := newSender(t, s)
			begin(p)
			act(p)
			if status, message := p.answer(); status != "invalid" {
				t.Errorf("answered %q %q, want invalid", status, message)
			}
		})
	}
	if s.completed() != 0 {
		t.Error("a broken transfer was completed")
	}
}
