package sender_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"jetstream/internal/transfer"
	"jetstream/internal/transfer/wire"
)

// With checksum files of the same size are compared by what is in them, and those of
// another size by nothing else.
func TestChecksumFindsWhatDiffers(t *testing.T) {
	a, b := newSite(t), newSite(t)
	when := time.Unix(1.5e9, 0)
	stamp := func(s *site, name string, when time.Time) {
		t.Helper()
		if err := os.Chtimes(filepath.Join(s.Sandbox, name), when, when); err != nil {
			t.Fatal(err)
		}
	}
	large := bytes.Repeat([]byte("0123456789abcdef"), 200_000)
	other := bytes.Clone(large)
	other[len(other)-1]++
	for name, c := range map[string]struct {
		from, to string
		touched  bool
		sent     bool
	}{
		"same":      {"same", "same", false, false},
		"touched":   {"touched", "touched", true, false},
		"silent":    {"silent", "Silent", false, true}, // same size and time
		"shorter":   {"shorter", "short", false, true},
		"empty":     {"", "", true, false},
		"absent":    {"absent", "-", false, true},
		"large":     {string(large), string(large), true, false},
		"large-not": {string(large), string(other), false, true},
	} {
		a.put("src/"+name, []byte(c.from))
		stamp(a, "src/"+name, when)
		if c.to != "-" {
			at := when
			if c.touched {
				at = when.Add(time.Hour)
			}
			b.put("src/"+name, []byte(c.to))
			stamp(b, "src/"+name, at)
		}
		defer func() {
			got, err := os.ReadFile(filepath.Join(b.Sandbox, "src", name))
			info, statErr := os.Stat(filepath.Join(b.Sandbox, "src", name))
			if err != nil || statErr != nil || string(got) != c.from {
				t.Errorf("%s holds %.20q (%v), want %.20q", name, got, err, c.from)
			} else if c.touched != info.ModTime().Equal(when.Add(time.Hour)) {
				t.Errorf("%s has the time %v", name, info.ModTime())
			}
		}()
	}
	tr := a.send(b, job{conflict: "changed", checksum: true})
	if got := a.wait(tr); got.Status != transfer.StatusComplete {
		t.Fatalf("it ended as %s: %s", got.Status, got.ErrorMessage)
	}
	if r := b.received(tr); r.FilesReceived != 4 {
		t.Errorf("%d files were received, want 4", r.FilesReceived)
	}
}

// A receiver that asks for digests that it has no use for is not obeyed.
func TestAReceiverMayAskForTheDigestsOfAnnouncedFilesOnly(t *testing.T) {
	a := newSite(t)
	id, err := wire.LoadIdentity(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"1", "2", "3"} {
		a.put("src/"+name, []byte("0123456789"))
	}
	const known = "xxh3-128"
	for name, c := range map[string]struct {
		plain bool // the transfer is one without checksum
		ask   []wire.Compare
		want  string
	}{
		"without checksum": {true, []wire.Compare{{Algorithm: known, Indices: []int64{1}}}, "out of place"},
		"by what is none":  {false, []wire.Compare{{Algorithm: "crc", Indices: []int64{1}}}, "not known"},
		"behind the list":  {false, []wire.Compare{{Algorithm: known, Indices: []int64{4}}}, "entries 4 to 4"},
		"before the list":  {false, []wire.Compare{{Algorithm: known, Indices: []int64{-1}}}, "entries -1 to -1"},
		"a directory":      {false, []wire.Compare{{Algorithm: known, Indices: []int64{0}}}, "entry 0"},
		"again":            {false, []wire.Compare{{Algorithm: known, Indices: []int64{1}}, {Algorithm: known, Indices: []int64{1}}}, "entries 1 to 1"},
		"twice at once":    {false, []wire.Compare{{Algorithm: known, Indices: []int64{1, 1, 3}}}, "entry 1"},
	} {
		t.Run(name, func(t *testing.T) {
			address := liar(t, id, func(conn *wire.Conn) {
				_ = conn.Send(wire.TypeResume, joinable(wire.Resume{AnswersSkip: true}))
				for h := (wire.Header{}); h.Type != wire.TypeEntries; {
					if h, _, err = conn.Read(); err != nil {
						return
					}
				}
				for _, ask := range c.ask {
					_ = conn.Send(wire.TypeCompare, ask)
				}
				untilEnd(conn)
			})
			got := a.wait(a.send(nil, job{to: address, conflict: "changed", checksum: !c.plain}))
			if got.Status != transfer.StatusError || !strings.Contains(got.ErrorMessage, c.want) {
				t.Errorf("it ended as %s: %q, want error ...%s...", got.Status, got.ErrorMessage, c.want)
			}
		})
	}
}
