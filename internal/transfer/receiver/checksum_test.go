//go:build unix

package receiver_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"jetstream/internal/transfer/digest"
	"jetstream/internal/transfer/wire"
)

// The whole list is compared by one Compare, one Digests and one Skip for each page,
// and no page waits for the answer to another.
func TestManyFilesAreComparedByFewMessages(t *testing.T) {
	s := newSite(t, t.TempDir())
	const files, page = 3000, 500
	entries := make([]wire.Entry, files)
	digests := make([]string, files)
	for i := range entries {
		name := fmt.Sprintf("%04d", i)
		if err := os.WriteFile(filepath.Join(s.Sandbox, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
		entries[i] = wire.Entry{Name: wire.Name("/" + name), Size: 4, Mode: 0o600}
		digests[i] = digest.Bytes(digest.Default, []byte(name))
	}
	digests[7] = digest.Bytes(digest.Default, []byte("else"))
	p := newSender(t, s)
	p.open.Conflict, p.open.Checksum, p.open.TotalFiles, p.open.TotalBytes = "changed", true, files, 4*files
	p.reopen()
	for from := int64(0); from < files; from += page {
		p.send(wire.TypeEntries, wire.Entries{From: from, Entries: entries[from : from+page]})
	}
	asked := 0
	for range files / page {
		h, payload := p.next()
		var c wire.Compare
		if h.Type != wire.TypeCompare || wire.Decode(payload, &c) != nil || c.Algorithm != string(digest.Default) || len(c.Indices) != page || c.Indices[0] != int64(asked) {
			t.Fatalf("a page was answered by frame %d %.100s", h.Type, payload)
		}
		asked += page
	}
	for from := 0; from < files; from += page {
		p.send(wire.TypeDigests, wire.Digests{Digests: digests[from : from+page]})
	}
	for from := 0; from < files; from += page {
		h, payload := p.next()
		var skip wire.Skip
		want := page
		if from == 0 {
			want--
		}
		if h.Type != wire.TypeSkip || wire.Decode(payload, &skip) != nil || skip.From != int64(from) || len(skip.Indices) != want {
			t.Fatalf("digests were answered by frame %d %.100s, want a Skip from %d with %d entries", h.Type, payload, from, want)
		}
	}
	p.data(7, 0, []byte("else"))
	p.send(wire.TypeEnd, struct{}{})
	p.wantAnswer("complete", "")
	if r := s.Received(p.xfer); r.FilesReceived != 1 || r.TotalFiles != files {
		t.Errorf("%d of %d files were received", r.FilesReceived, r.TotalFiles)
	}
}

// next reads the next frame but for Progress.
func (p *sender) next() (h wire.Header, payload []byte) {
	p.t.Helper()
	for {
		h, payload, err := p.conn.Read()
		if err != nil {
			p.t.Fatal(err)
		}
		if h.Type != wire.TypeProgress {
			return h, payload
		}
	}
}

func TestASenderMayTellTheDigestsThatItWasAskedForOnly(t *testing.T) {
	s := newSite(t, t.TempDir())
	if err := os.WriteFile(filepath.Join(s.Sandbox, "f"), []byte("abc"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		checksum bool
		conflict string
		does     func(p *sender)
		want     string
	}{
		"unasked": {false, "changed", func(p *sender) {
			p.begin(wire.Entry{Name: "/f", Size: 3})
			p.send(wire.TypeDigests, wire.Digests{Digests: []string{""}})
		}, "was not asked for"},
		"too many": {true, "changed", func(p *sender) {
			p.begin(wire.Entry{Name: "/f", Size: 3})
			p.send(wire.TypeDigests, wire.Digests{Digests: []string{"", ""}})
		}, "was not asked for"},
		"an end before": {true, "changed", func(p *sender) {
			p.begin(wire.Entry{Name: "/f", Size: 3})
			p.send(wire.TypeEnd, struct{}{})
		}, "before the digests"},
		"an empty page": {true, "changed", func(p *sender) {
			p.begin()
			p.send(wire.TypeEntries, wire.Entries{})
		}, "is empty"},
		"too many entries": {true, "changed", func(p *sender) {
			p.begin(append([]wire.Entry{{Name: "/f", Size: 3}}, many(8200)...)...)
		}, "too far ahead"},
		"with overwrite": {true, "overwrite", func(p *sender) {
			p.open.Ticket = p.ticket
			p.send(wire.TypeOpen, p.open)
		}, "malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newSender(t, s)
			p.open.Conflict, p.open.Checksum = c.conflict, c.checksum
			c.does(p)
			p.wantAnswer("invalid", c.want)
		})
	}
}

// many returns entries of files that do not exist.
func many(n int) (list []wire.Entry) {
	for i := range n {
		list = append(list, wire.Entry{Name: wire.Name(fmt.Sprintf("/%d", i)), Size: 1})
	}
	return list
}
