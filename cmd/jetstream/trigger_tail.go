package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/client"
	"jetstream/internal/server"
	"jetstream/internal/stream"
	"jetstream/internal/terminal"
	"jetstream/triggers"
)

// triggerTailCmd follows the event stream of a running server.
type triggerTailCmd struct {
	serverFlags
	Events []string `arg:"" optional:"" name:"event" complete:"events" help:"Events to watch, such as recv.transferComplete; all without."`
}

// Help describes the form of the output.
func (c *triggerTailCmd) Help() string {
	return "With --json each is a line of JSON: id (0 for output), type, data."
}

// Run prints until ctx ends, which is a success: watching has no other end.
func (c *triggerTailCmd) Run(ctx context.Context, p *program) error {
	known := server.EventNames()
	wanted := map[string]bool{}
	for _, name := range c.Events {
		if err := checkEventName(name, known); err != nil {
			return err
		}
		wanted[name] = true
	}
	server, _, err := c.connect(ctx, p)
	if err != nil {
		return err
	}
	defer server.Close()
	t := &tail{out: p.Stdout, json: c.asJSON(), rest: map[string]string{}}
	lost := false
	say := func(format string, args ...any) {
		_, _ = fmt.Fprintln(p.Stderr, "jetstream:", terminal.Printable(fmt.Sprintf(format, args...)))
	}
	return server.Events(ctx, client.EventOptions{
		Types: []string{triggers.RunStarted.Type, triggers.RunOutput.Type, triggers.RunEnded.Type},
		Lost: func(err error) {
			if !lost {
				say("the connection was lost: %s; trying again", api.ErrorOf(err).Message)
			}
			lost = true
		},
		Connected: func() {
			if lost {
				say("connected again")
			}
			lost = false
		},
	}, func(e client.Event) error {
		if e.Type == stream.ResetType {
			say("some runs were missed: the server does not keep them any more")
			return nil
		}
		var about struct {
			Event string `json:"event"`
		}
		if json.Unmarshal(e.Data, &about) != nil || len(wanted) > 0 && !wanted[about.Event] {
			return nil
		}
		return t.show(e)
	})
}

// checkEventName returns an error for a name that is no event's.
func checkEventName(name string, known []string) error {
	if slices.Contains(known, name) {
		return nil
	}
	if near := api.Nearest(name, known); near != "" {
		return usagef("%s is no event; did you mean %s?", name, near)
	}
	return usagef("%s is no event; `jetstream trigger --help` leads on", name)
}

// maxTailLine is where a line without an end is broken, in bytes.
const maxTailLine = 16 << 10

// tail prints events as text or, with --json, as JSON lines.
type tail struct {
	out  io.Writer
	json bool
	rest map[string]string // by run and stream: a line that has no end yet
}

func (t *tail) show(e client.Event) error {
	if t.json {
		line, err := api.Marshal(struct {
			ID   int64           `json:"id"`
			Type string          `json:"type"`
			Data json.RawMessage `json:"data"`
		}{e.ID, e.Type, e.Data})
		if err != nil {
			return err
		}
		_, err = t.out.Write(append(terminal.PrintableJSON(line), '\n'))
		return err
	}
	switch e.Type {
	case triggers.RunStarted.Type, triggers.RunEnded.Type:
		var r triggers.RunEntry
		if err := json.Unmarshal(e.Data, &r); err != nil {
			return api.Wrap(err, api.CodeInternal, "the server's event is not of the expected form; is it another version than this program?")
		}
		if e.Type == triggers.RunStarted.Type {
			return t.line(r.StartTime, r.Event, startLine(r))
		}
		for _, stream := range []string{"stdout", "stderr"} {
			if err := t.flush(r.Event, r.RunID, stream); err != nil {
				return err
			}
		}
		return t.line(r.EndTime, r.Event, endLine(r))
	case triggers.RunOutput.Type:
		var o triggers.OutputEntry
		if err := json.Unmarshal(e.Data, &o); err != nil {
			return api.Wrap(err, api.CodeInternal, "the server's event is not of the expected form; is it another version than this program?")
		}
		return t.output(o)
	}
	return nil
}

func (t *tail) line(at api.Time, event, text string) error {
	_, err := fmt.Fprintf(t.out, "%s %s: %s\n", at.Std().Local().Format("15:04:05.000"), terminal.Printable(event), terminal.Printable(text))
	return err
}

func startLine(r triggers.RunEntry) string {
	text := "started"
	if r.Attempt > 1 {
		text += ", attempt " + strconv.Itoa(r.Attempt)
	}
	return text + " (run " + r.RunID + ")"
}

func endLine(r triggers.RunEntry) string {
	text := string(r.Status)
	if r.StartTime != 0 && r.EndTime >= r.StartTime {
		text += " after " + r.EndTime.Std().Sub(r.StartTime.Std()).Round(time.Millisecond).String()
	}
	if r.ErrorMessage != "" {
		text += ": " + r.ErrorMessage
	}
	return text + " (run " + r.RunID + ")"
}

// output prints the whole lines of what a script wrote, as
// "EVENT| text" or, from its standard error, "EVENT! text".
func (t *tail) output(o triggers.OutputEntry) error {
	if o.DroppedBytes > 0 {
		if err := t.flush(o.Event, o.RunID, o.Stream); err != nil {
			return err
		}
		if err := t.text(o.Event, o.Stream, fmt.Sprintf("... %d bytes left out ...", o.DroppedBytes)); err != nil {
			return err
		}
	}
	key := o.RunID + o.Stream
	rest := t.rest[key] + o.Text
	for {
		line, after, found := strings.Cut(rest, "\n")
		if !found {
			break
		}
		if err := t.text(o.Event, o.Stream, strings.TrimSuffix(line, "\r")); err != nil {
			return err
		}
		rest = after
	}
	t.rest[key] = rest
	if rest == "" {
		delete(t.rest, key)
	}
	if len(rest) > maxTailLine {
		return t.flush(o.Event, o.RunID, o.Stream)
	}
	return nil
}

// flush prints a line that got no end.
func (t *tail) flush(event, runID, stream string) error {
	rest := t.rest[runID+stream]
	if rest == "" {
		return nil
	}
	delete(t.rest, runID+stream)
	return t.text(event, stream, rest)
}

func (t *tail) text(event, stream, text string) error {
	mark := "|"
	if stream == "stderr" {
		mark = "!"
	}
	_, err := fmt.Fprintf(t.out, "%s%s %s\n", terminal.Printable(event), mark, terminal.Printable(text))
	return err
}
