package watch

import (
	"strings"
	"testing"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/terminal"
	"jetstream/internal/transfer"
)

func TestFrame(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	eta := int64(74)
	active := transfer.Transfer{Status: transfer.StatusActive, Processing: true, StartTime: 1, TotalFiles: 310, TotalBytes: 3 << 30,
		FilesSent: 12, BytesSent: 1 << 30, FilesUnchanged: 100, BytesUnchanged: 1 << 29, Rate: 112_300, EtaSeconds: &eta}
	one := active
	one.TotalFiles, one.FilesUnchanged, one.BytesUnchanged = 1, 0, 0
	waits := active
	waits.Status, waits.ErrorMessage, waits.NextAttemptTime = transfer.StatusPending, "gone", api.TimeOf(now.Add(3500*time.Millisecond))
	complete := active
	complete.Status, complete.Processing = transfer.StatusComplete, false
	empty := transfer.Transfer{Status: transfer.StatusPending, Processing: true}
	for _, c := range []struct {
		name, label string
		t           transfer.Transfer
		width       int
		want        string
	}{
		{"many files", "reel", active, 119, "reel   50 %  [===================>                  ]  112/310 files   1.5 GiB of 3.0 GiB  112.3 Mbit/s  1:14 left"},
		{"many files at 80", "reel", active, 79, "reel   50 %  112/310 files   1.5 GiB of 3.0 GiB  112.3 Mbit/s  1:14 left"},
		{"a long label", strings.Repeat("0123456789", 9), active, 79, " 50 %  112/310 files   1.5 GiB of 3.0 GiB  112.3 Mbit/s  1:14 left"},
		{"one file", "reel.mov", one, 79, "reel.mov   33 %  [====>         ]   1.0 GiB of 3.0 GiB  112.3 Mbit/s  1:14 left"},
		{"narrow", "reel", active, 40, " 50 %  112.3 Mbit/s  1:14 left"},
		{"very narrow", "reel", active, 12, " 50 %"},
		{"hardly there", "reel", active, 3, " 50"},
		{"waiting", "reel", waits, 79, "reel   50 %  [=====>     ]  112/310 files   1.5 GiB of 3.0 GiB  next try in 4 s"},
		{"complete", "reel", complete, 119, "reel  100 %  310/310 files   3.0 GiB of 3.0 GiB  complete"},
		{"nothing yet", "日本", empty, 79, "日本    0 %  [>                                  ]       0 B of 0 B  connecting"},
	} {
		got := frame(c.label, &c.t, now, c.width)
		if got != c.want || terminal.Width(got) > c.width {
			t.Errorf("%s:\n got %q of %d\nwant %q", c.name, got, terminal.Width(got), c.want)
		}
	}
	for width := range 200 {
		for _, x := range []transfer.Transfer{active, one, waits, complete, empty} {
			if got := frame("reel", &x, now, width); terminal.Width(got) > width {
				t.Errorf("%q is wider than %d", got, width)
			}
		}
	}
}

func TestStatusLineLeavesNothingOfTheFormer(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	l := statusLine{out: &out}
	l.draw("a long one", 80)
	l.draw("short", 80)
	l.draw("short", 80)
	l.clear(80)
	l.draw("again", 80)
	l.end()
	l.end()
	if want := "\ra long one\rshort     \r     \r\ragain\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}
