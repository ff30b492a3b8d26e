package triggers

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"jetstream/internal/stream"
)

// noEntries is an empty store for a log with only live entries, since a
// database cannot be used with a fake clock.
type noEntries struct{ stream.Store }

func (noEntries) Entries(context.Context, int64, int) ([]*stream.Entry, error) { return nil, nil }
func (noEntries) Newest(context.Context) (int64, error)                        { return 0, nil }

// shown reads the entries that a follower has got until now.
func shown(t *testing.T, f *stream.Follower) (pieces []OutputEntry) {
	t.Helper()
	for {
		ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
		frames, err := f.Next(ctx)
		cancel()
		if err != nil {
			return pieces
		}
		for _, frame := range frames {
			_, data, _ := strings.Cut(string(frame), "data: ")
			var o OutputEntry
			if err := json.Unmarshal([]byte(data), &o); err != nil {
				t.Fatalf("%s: %v", frame, err)
			}
			pieces = append(pieces, o)
		}
	}
}

// Output is published at once, then at most ten times a second, without
// splitting characters. Dropped output is counted. Without followers nothing is
// done.
func TestOutputIsShownInBoundedPieces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, err := stream.New(t.Context(), stream.Options{Store: noEntries{}})
		if err != nil {
			t.Fatal(err)
		}
		o := newLiveOutput(log, &Run{RunID: "r", Event: "launch"}, "stdout")
		o.write([]byte("unseen"))
		f, err := log.Follow(stream.Query{All: true})
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		other, err := log.Follow(stream.Query{User: "alice"})
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()

		o.write([]byte("at once"))
		if got := shown(t, f); len(got) != 1 || got[0].Text != "at once" || got[0].RunID != "r" || got[0].Stream != "stdout" {
			t.Fatalf("at first %+v was shown", got)
		}
		for range 50 { // 10 ms apart: half a second
			o.write([]byte("."))
			time.Sleep(10 * time.Millisecond) //nolint:forbidigo // the bubble's clock
			synctest.Wait()
		}
		got := shown(t, f)
		text := ""
		for _, p := range got {
			text += p.Text
		}
		if len(got) < 4 || len(got) > 6 || len(text) < 40 {
			t.Errorf("50 writes in half a second came in %d pieces with %d bytes", len(got), len(text))
		}
		time.Sleep(time.Second) //nolint:forbidigo // the bubble's clock
		synctest.Wait()
		shown(t, f)

		o.write([]byte("a\xe2\x82")) // the beginning of a euro sign
		if got := shown(t, f); len(got) != 1 || got[0].Text != "a" {
			t.Errorf("of a cut character came %+v", got)
		}
		time.Sleep(time.Second) //nolint:forbidigo // the bubble's clock
		o.write([]byte("\xac\xff"))
		if got := shown(t, f); len(got) != 1 || got[0].Text != "€\uFFFD" {
			t.Errorf("its end came as %+v", got)
		}

		o.write(make([]byte, 3*showPiece)) // waits for its time
		o.write(make([]byte, 1<<30>>4))
		o.close()
		got = shown(t, f)
		if len(got) != 2 || len(got[0].Text) != showPiece || got[1].Text != "" || got[1].DroppedBytes != 2*showPiece+1<<26 {
			t.Errorf("of a flood came %d pieces; the last counts %d dropped bytes", len(got), got[len(got)-1].DroppedBytes)
		}
		if got := shown(t, other); len(got) > 0 {
			t.Errorf("one who is no superuser was shown %+v", got)
		}
		time.Sleep(time.Second) //nolint:forbidigo // no timer is left
	})
}
