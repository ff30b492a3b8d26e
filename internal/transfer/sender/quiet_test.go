package sender_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"jetstream/internal/transfer/sender"
	"jetstream/internal/transfer/wire"
)

// counter counts the lines of a log that is kept at information and above.
type counter struct{ lines atomic.Int64 }

func (c *counter) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }
func (c *counter) Handle(context.Context, slog.Record) error    { c.lines.Add(1); return nil }
func (c *counter) WithAttrs([]slog.Attr) slog.Handler           { return c }
func (c *counter) WithGroup(string) slog.Handler                { return c }

// A receiver that stays away for a day must not fill the log: one line for
// each new reason.
func TestReceiverThatStaysAwayIsLoggedOnce(t *testing.T) {
	id, err := wire.LoadIdentity(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		b, log, begin := newBoard(3), &counter{}, time.Now()
		s, err := sender.New(sender.Options{Engine: b, Identity: id, Log: slog.New(log), Dial: func(context.Context, string) (net.Conn, error) {
			if time.Since(begin) > 12*time.Hour {
				return nil, errors.New("no route")
			}
			return nil, errors.New("nobody there")
		}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Serve(ctx) }()
		time.Sleep(24 * time.Hour) //nolint:forbidigo // the bubble's clock
		if n := log.lines.Load(); n != 6 {
			t.Errorf("%d lines about three transfers with two reasons each, want 6", n)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
