//go:build unix

package receiver_test

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"jetstream/internal/transfer"
	"jetstream/internal/transfer/digest"
	"jetstream/internal/transfer/wire"
)

// alter changes a file in the staging directory of the only transfer.
func (s *site) alter(name string, change func([]byte) []byte) {
	s.T.Helper()
	list, err := filepath.Glob(filepath.Join(s.Sandbox, ".jetstream-*", name))
	if err != nil || len(list) != 1 {
		s.T.Fatalf("the files %s are %q (%v)", name, list, err)
	}
	b, err := os.ReadFile(list[0])
	if err == nil {
		err = os.WriteFile(list[0], change(b), 0)
	}
	if err != nil {
		s.T.Fatal(err)
	}
}

func flip(at int) func([]byte) []byte {
	return func(b []byte) []byte { b[at] ^= 4; return b }
}

// What differs in a part file after a restart is sent again from the first block
// that differs, and nothing else.
func TestAlteredPartFileIsSentAgain(t *testing.T) {
	const block = digest.BlockSize
	const half, size = 3*block + block/2, 5 * block
	want := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	for name, c := range map[string]struct {
		alg    digest.Algorithm
		file   string
		change func([]byte) []byte
		offset int64
		stays  bool // the receiver is not restarted
	}{
		"nothing":                    {digest.XXH3, "0.part", flip(half), half, false},
		"a block":                    {digest.XXH3, "0.part", flip(block + 7), block, false},
		"the rest":                   {digest.BLAKE3, "0.part", flip(3*block + 1), 3 * block, false},
		"sha256":                     {digest.SHA256, "0.part", flip(2 * block), 2 * block, false},
		"cut short":                  {digest.XXH3, "0.part", func(b []byte) []byte { return b[:2*block+5] }, 2 * block, false},
		"saved hashes":               {digest.XXH3, "0.hashes", flip(digest.HeaderSize + 16), block, false},
		"one connection to the next": {digest.XXH3, "0.part", func(b []byte) []byte { return b }, half, true},
		"altered meanwhile":          {digest.XXH3, "0.part", flip(block + 7), block, true},
		"a saved header":             {digest.BLAKE3, "0.hashes", flip(1), 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, t.TempDir())
			s.Stop()
			s.Digest = c.alg
			store := &marking{saved: make(chan int64)}
			s.restart(func(st transfer.RecvStore) transfer.RecvStore { store.RecvStore = st; return store })
			p := newSender(t, s)
			p.open.CheckpointSeconds = 1
			entry := wire.Entry{Name: "/f", Size: size, Mode: 0o600}
			p.begin(entry)
			for at := 0; at < half; at += block / 2 {
				p.data(0, int64(at), want[at:at+block/2])
			}
			if at := <-store.saved; at != half {
				t.Fatalf("the checkpoint is at %d, want %d", at, half)
			}
			if c.stays {
				p.conn.Abort()
				for s.Received(p.xfer).LastErrorTime == 0 { // until the session has ended
					runtime.Gosched()
				}
			} else {
				s.Stop()
			}
			s.alter(c.file, c.change)
			if !c.stays {
				s.restart(nil)
			}
			p.dial()
			if r := p.reopen(); r.Index != 0 || r.Offset != c.offset || r.Bytes != c.offset {
				t.Fatalf("it goes on at entry %d, offset %d with %d bytes, want offset %d", r.Index, r.Offset, r.Bytes, c.offset)
			}
			p.announce(0, []wire.Entry{entry})
			for at := int(c.offset); at < size; at += block {
				p.data(0, int64(at), want[at:min(size, at+block)])
			}
			p.send(wire.TypeEnd, struct{}{})
			p.wantAnswer("complete", "")
			s.holds(p, map[string][]byte{"f": want})
		})
	}
}

// holds checks received files and their digests.
func (s *site) holds(p *sender, files map[string][]byte) {
	s.T.Helper()
	for f, err := range s.DB.Received().RecvFiles(s.T.Context(), p.id.PublicKey(), p.xfer, 0) {
		want := files[strings.TrimPrefix(f.Name, "/")]
		got, readErr := os.ReadFile(filepath.Join(s.Sandbox, f.Name))
		if err != nil || readErr != nil || !bytes.Equal(got, want) {
			s.T.Errorf("%s has %d bytes and is not what was sent (%v, %v)", f.Name, len(got), err, readErr)
		}
		alg, hex, _ := strings.Cut(f.Digest, ":")
		if of, _, _ := digest.Of(digest.Algorithm(alg), bytes.NewReader(want)); of != hex {
			s.T.Errorf("%s has the digest %s, want %s", f.Name, f.Digest, of)
		}
	}
	if n := s.completed(); n != 1 {
		s.T.Errorf("%d events, want 1", n)
	}
}

// A recorded file that was altered or removed before it got its name is sent
// again, with those behind it.
func TestAlteredRecordedFileIsSentAgain(t *testing.T) {
	for name, alter := range map[string]func(s *site){
		"flipped": func(s *site) { s.alter("1.part", flip(1)) },
		"cut":     func(s *site) { s.alter("1.part", func(b []byte) []byte { return b[:2] }) },
		"removed": func(s *site) {
			list, _ := filepath.Glob(filepath.Join(s.Sandbox, ".jetstream-*", "1.part"))
			_ = os.Remove(strings.Join(list, ""))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, t.TempDir())
			s.Stop()
			s.restart(func(st transfer.RecvStore) transfer.RecvStore { return &halting{RecvStore: st} })
			p := newSender(t, s)
			files := map[string][]byte{"a": []byte("aaa"), "b": []byte("bbb"), "c": []byte("ccc")}
			var entries []wire.Entry
			for _, n := range []string{"a", "b", "c"} {
				entries = append(entries, wire.Entry{Name: wire.Name("/" + n), Size: 3, Mode: 0o600})
			}
			p.begin(entries...)
			for i, n := range []string{"a", "b", "c"} {
				p.data(int64(i), 0, files[n])
			}
			p.send(wire.TypeEnd, struct{}{})
			p.wantAnswer("unavailable", "could not go on")
			s.Stop()
			alter(s)
			s.restart(nil)
			p.dial()
			if r := p.reopen(); r.Index != 1 || r.Offset != 0 || r.Files != 1 || r.Bytes != 3 {
				t.Fatalf("it goes on at entry %d, offset %d with %d files and %d bytes, want 1, 0, 1, 3", r.Index, r.Offset, r.Files, r.Bytes)
			}
			if left, err := filepath.Glob(filepath.Join(s.Sandbox, ".jetstream-*", "2.part")); len(left) != 0 || err != nil {
				t.Errorf("the part files %q take room (%v)", left, err)
			}
			p.announce(1, entries[1:])
			p.data(1, 0, files["b"])
			p.data(2, 0, files["c"])
			p.send(wire.TypeEnd, struct{}{})
			p.wantAnswer("complete", "")
			s.holds(p, files)
		})
	}
}
