package transfer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"jetstream/internal/stream"
	"jetstream/internal/transfer"
	"jetstream/triggers"
)

// logged returns a bench with an event log, and a follower of it.
func logged(t *testing.T) (*bench, *stream.Log, *stream.Follower) {
	t.Helper()
	b := newBench(t)
	log, err := stream.New(t.Context(), stream.Options{Store: b.db.Entries()})
	b.must(err)
	engine, err := triggers.New(triggers.Options{Dir: b.triggers.Dir(), StateDir: b.state, Store: b.db.Runs(), Stream: log, ProcessID: "p"})
	b.must(err)
	b.stop()
	b.options.Emitter, b.options.Stream = engine, log
	b.start()
	f, err := log.Follow(stream.Query{All: true})
	b.must(err)
	t.Cleanup(f.Close)
	return b, log, f
}

// entries reads the entries until now: their types, and the states of changes.
func entries(t *testing.T, f *stream.Follower) (out []string) {
	t.Helper()
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		frames, err := f.Next(ctx)
		cancel()
		if err != nil {
			return out
		}
		for _, frame := range frames {
			_, rest, _ := strings.Cut(string(frame), "event: ")
			typ, rest, _ := strings.Cut(rest, "\ndata: ")
			var data struct{ PreviousStatus, Status, Message, User string }
			if err := json.Unmarshal([]byte(rest), &data); err != nil {
				t.Fatalf("%s: %v", frame, err)
			}
			switch {
			case typ == transfer.Changed.Type:
				typ = fmt.Sprintf("%s>%s", data.PreviousStatus, data.Status)
			case data.Message != "":
				typ += ": " + data.Message
			}
			if data.User != "alice" {
				t.Errorf("%s belongs to %q", typ, data.User)
			}
			out = append(out, typ)
		}
	}
}

// A transfer starts and ends once, however often its connection breaks or its
// server restarts.
func TestTransferEventsHappenOnce(t *testing.T) {
	b, _, f := logged(t)
	x := b.transfer()
	to := func(s transfer.Status, message string) {
		t.Helper()
		_, err := b.Change(t.Context(), x.TransferID, func(y *transfer.Transfer) error {
			y.Status, y.ErrorMessage = s, message
			return nil
		})
		b.must(err)
	}
	to(transfer.StatusActive, "")
	to(transfer.StatusPending, "the connection was lost")
	to(transfer.StatusActive, "")
	to(transfer.StatusActive, "") // no step
	b.stop()
	b.start()
	to(transfer.StatusPending, "")
	to(transfer.StatusActive, "")
	boom := errors.New("boom")
	if _, err := b.Change(t.Context(), x.TransferID, func(y *transfer.Transfer) error {
		y.Status = transfer.StatusComplete
		return boom
	}); !errors.Is(err, boom) {
		t.Fatal(err)
	}
	to(transfer.StatusComplete, "")
	if _, err := b.CancelTransfer(t.Context(), by("alice"), x.TransferID); err == nil {
		t.Error("an ended transfer was cancelled")
	}
	want := []string{"send.destinationCreated", ">pending", "pending>active", "send.transferStarted", "active>pending", "pending>active",
		"active>pending", "pending>active", "active>complete", "send.transferComplete"}
	got := slices.DeleteFunc(entries(t, f), func(s string) bool { return !slices.Contains(want, s) })
	if !slices.Equal(got, want) {
		t.Errorf("the log has\n%q, want\n%q", got, want)
	}

	y := b.transfer()
	_, err := b.CancelTransfer(t.Context(), by("alice"), y.TransferID)
	b.must(err)
	z := b.transfer()
	_, err = b.Change(t.Context(), z.TransferID, func(z *transfer.Transfer) error {
		z.Status, z.ErrorMessage = transfer.StatusError, "it broke"
		return nil
	})
	b.must(err)
	got = slices.DeleteFunc(entries(t, f), func(s string) bool { return strings.HasPrefix(s, ">") || strings.HasPrefix(s, "send.destination") })
	want = []string{"pending>cancelled", "send.transferFailed: the transfer was cancelled", "pending>error", "send.transferFailed: it broke"}
	if !slices.Equal(got, want) {
		t.Errorf("the log has\n%q, want\n%q", got, want)
	}
}

func TestProgressIsPublishedOnceASecond(t *testing.T) {
	b, log, f := logged(t)
	x := b.transfer()
	_, err := b.Change(t.Context(), x.TransferID, func(y *transfer.Transfer) error {
		y.Status, y.TotalBytes = transfer.StatusActive, 1000
		return nil
	})
	b.must(err)
	entries(t, f)
	for range 20 {
		b.Progress(x.TransferID, transfer.Progress{Bytes: 500, Rate: 8})
	}
	if got := entries(t, f); !slices.Equal(got, []string{transfer.ProgressShown.Type}) {
		t.Errorf("twenty reports at once were shown as %q", got)
	}
	f.Close()
	if log.Followed(transfer.ProgressShown.Type) {
		t.Error("somebody follows")
	}
}
