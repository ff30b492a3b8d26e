package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"jetstream/handlers"
	"jetstream/internal/api"
	"jetstream/internal/terminal"
	"jetstream/internal/watch"
)

// statusCmd is jetstream status: how a server is, in some ten lines.
type statusCmd struct {
	serverFlags
}

// Help says what the exit status means.
func (c *statusCmd) Help() string {
	return "Exit status 1 means that the server is out of order or does not answer; jetstream doctor looks for what is wrong around it."
}

// Run prints the status.
func (c *statusCmd) Run(ctx context.Context, p *program) error {
	conn, _, err := c.connect(ctx, p)
	if err != nil {
		return err
	}
	defer conn.Close()
	s, done, err := askOn[handlers.ServerStatus](ctx, p, &c.serverFlags, conn, "getServerStatus", nil)
	if done {
		return err
	}
	if err := printStatus(p.Stdout, &s); err != nil {
		return err
	}
	if !s.Well {
		return errQuiet
	}
	return nil
}

func printStatus(w io.Writer, s *handlers.ServerStatus) error {
	var b strings.Builder
	width := terminal.LineWidth(w)
	line := func(name, format string, args ...any) {
		text := fmt.Sprintf("%-13s%s", name, terminal.Printable(fmt.Sprintf(format, args...)))
		b.WriteString(text + "\n")
	}
	health := "well"
	if !s.Well {
		health = "OUT OF ORDER"
	}
	line("server", "%s: jetstream %s on %s, up for %s", health, s.Version, s.HostName, shortDuration(s.Time.Std().Sub(s.StartTime.Std())))
	for _, fault := range s.Faults {
		line("fault", "%s", fault)
	}
	for _, notice := range s.Notices {
		line("notice", "%s", notice)
	}
	tls := ""
	if s.TLS {
		tls = " (TLS)"
	}
	line("ports", "API %s%s, receive %s", s.API, tls, s.Recv)
	line("sending", "%d at %s, %d waiting", s.Sending.Active, watch.Rate(s.Sending.Rate), s.Sending.Waiting)
	line("receiving", "%d at %s, %d waiting for free space", s.Receiving.Active, watch.Rate(s.Receiving.Rate), s.Receiving.Waiting)
	line("triggers", "%s", queueLine(s))
	line("failed", "in 24 hours: %d sent, %d received, %d scripts", s.Failures.Sent, s.Failures.Received, s.Failures.Runs)
	for _, f := range s.Failures.Newest {
		line("", "%s %s %s: %s", clock(f.Time), f.Kind, f.ID, cut(f.Message, width-72))
	}
	var disks []string
	for _, d := range s.Disks {
		disks = append(disks, fmt.Sprintf("%s free of %s for %s", watch.Bytes(d.Free), watch.Bytes(d.Total), d.What))
	}
	line("disk", "%s", strings.Join(slices.Compact(disks), ", "))
	if s.Certificate != nil {
		line("certificate", "%s", daysLeft(s.Certificate.ExpiryTime.Std(), s.Time.Std()))
	}
	line("destinations", "%d, silent: %d", s.Destinations.Total, len(s.Destinations.Silent))
	for _, d := range s.Destinations.Silent {
		line("", "%d wait: %s", d.Waiting, cut(d.Message, width-30))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func queueLine(s *handlers.ServerStatus) string {
	t := s.Triggers
	if t.Dir == "" {
		return "none (no --trigger-dir)"
	}
	text := fmt.Sprintf("%d running, %d waiting", t.Running, t.Waiting)
	if t.OldestWaiting != 0 {
		text += " for up to " + shortDuration(s.Time.Std().Sub(t.OldestWaiting.Std()))
	}
	if t.Paused {
		text += ", paused: jetstream trigger resume"
	}
	if t.Blocked {
		text += ", BLOCKED"
	}
	return text
}

// daysLeft says how long a certificate is valid.
func daysLeft(expires, now time.Time) string {
	if !expires.After(now) {
		return "expired on " + clock(api.TimeOf(expires))
	}
	return fmt.Sprintf("%d days left", expires.Sub(now)/(24*time.Hour))
}

// cut shortens a message to a number of characters.
func cut(text string, length int) string {
	if runes := []rune(text); len(runes) > max(length, 40) {
		return string(runes[:max(length, 40)-3]) + "..."
	}
	return text
}
