package sender_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"jetstream/internal/transfer/sender"
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
	withFakeClock(t, func(t *testing.T, serve func(sender.Options)) {
		b, log, begin := newBoard(3), &counter{}, time.Now()
		serve(sender.Options{Engine: b, Log: slog.New(log), Dial: func(context.Context, string) (net.Conn, error) {
			if time.Since(begin) > 12*time.Hour {
				return nil, errors.New("no route")
			}
			return nil, errors.New("nobody there")
		}})
		time.Sleep(24 * time.Hour) // of the fake clock
		if n := log.lines.Load(); n != 6 {
			t.Errorf("%d lines about three transfers with two reasons each, want 6", n)
		}
	})
}
