package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/terminal"
	"jetstream/triggers"
)

type triggerListCmd struct {
	serverFlags
	All bool `help:"Show the events without a script too."`
}

// triggersShown is the result of getTriggers.
type triggersShown struct {
	Dir      string              `json:"dir"`
	Queue    triggers.QueueState `json:"queue"`
	Triggers []struct {
		Event    string             `json:"event"`
		Summary  string             `json:"summary"`
		File     string             `json:"file"`
		Problems []triggers.Finding `json:"problems"`
		Runs     map[string]int     `json:"runs"`
		LastRun  *struct {
			Status  string   `json:"status"`
			EndTime api.Time `json:"endTime"`
		} `json:"lastRun"`
	} `json:"triggers"`
	Problems []triggers.Finding `json:"problems"`
}

// Run prints the table.
func (c *triggerListCmd) Run(ctx context.Context, p *program) error {
	list, done, err := ask[triggersShown](ctx, p, &c.serverFlags, "getTriggers", map[string]any{"limit": 1000})
	if done {
		return err
	}
	directory := "trigger directory: " + cmp.Or(list.Dir, "none (start the server with --trigger-dir)")
	_, _ = fmt.Fprintln(p.Stdout, terminal.Printable(directory)) // printQueue returns the error
	if err := printQueue(p.Stdout, list.Queue); err != nil {
		return err
	}
	problems := list.Problems
	rows := terminal.Table{Wide: c.Wide}
	rows.Row("EVENT", "SCRIPT", "SUCCESS", "FAILED", "OTHER", "LAST RUN")
	shown := 0
	for _, t := range list.Triggers {
		problems = append(problems, t.Problems...)
		if t.File == "" && t.LastRun == nil && !c.All {
			continue
		}
		script, last := cmp.Or(filepath.Base(t.File), "-"), "-"
		if t.File == "" {
			script = "-"
		}
		for _, f := range t.Problems {
			if f.Level == triggers.LevelError {
				script += " (!)"
				break
			}
		}
		if t.LastRun != nil {
			last = t.LastRun.Status + " " + clock(t.LastRun.EndTime)
		}
		other := t.Runs["timeout"] + t.Runs["cancelled"] + t.Runs["interrupted"]
		shown++
		rows.Row(t.Event, script, t.Runs["success"], t.Runs["failed"], other, last)
	}
	_, _ = fmt.Fprintln(p.Stdout) // print returns the error
	if err := p.print(&rows); err != nil {
		return err
	}
	if shown == 0 {
		_, _ = fmt.Fprintln(p.Stdout, "no event has a script; --all lists the events")
	}
	return printFindings(p.Stdout, problems)
}

type triggerRunsCmd struct {
	serverFlags
	Event    string        `complete:"events" help:"Only runs for this event."`
	Status   string        `complete:"getTriggerRuns.status" help:"Only runs in this state: queued, running, success, failed, timeout, cancelled or interrupted."`
	Transfer string        `placeholder:"ID" complete:"send.getTransfer.transferId" help:"Only runs about this transfer: its id, the beginning or end of it, or last."`
	Since    time.Duration `placeholder:"DURATION" help:"Only runs queued within this time, such as 24h."`
	Limit    int           `default:"20" help:"How many runs at most, 1 to 1000."`
}

// Run prints the table, newest first.
func (c *triggerRunsCmd) Run(ctx context.Context, p *program) error {
	params := map[string]any{"limit": c.Limit}
	if c.Event != "" {
		params["event"] = c.Event
	}
	if c.Status != "" {
		params["status"] = c.Status
	}
	if c.Since < 0 {
		return usagef("--since: %s is negative", c.Since)
	}
	if c.Since > 0 {
		params["since"] = api.TimeOf(time.Now().Add(-c.Since))
	}
	conn, _, err := c.connect(ctx, p)
	if err != nil {
		return err
	}
	defer conn.Close()
	if c.Transfer != "" {
		if params["transferId"], err = wholeTransferID(ctx, conn, c.Transfer); err != nil {
			return err
		}
	}
	list, done, err := askOn[struct {
		Runs       []triggers.Run `json:"runs"`
		NextCursor *string        `json:"nextCursor"`
	}](ctx, p, &c.serverFlags, conn, "getTriggerRuns", params)
	if done {
		return err
	}
	rows := terminal.Table{Wide: c.Wide}
	if c.Wide {
		rows.Row("RUN", "EVENT", "ATTEMPT", "STATUS", "QUEUED", "TOOK", "TRANSFER", "USER", "WHY")
	} else {
		rows.Row("RUN", "EVENT", "ATTEMPT", "STATUS", "QUEUED", "TOOK")
	}
	for _, r := range list.Runs {
		if c.Wide {
			rows.Row(r.RunID, r.Event, r.Attempt, r.Status, clock(r.QueueTime), took(r), r.TransferID, r.User, why(r))
		} else {
			rows.Row(shortID(r.RunID), r.Event, r.Attempt, r.Status, clock(r.QueueTime), took(r))
			rows.Below("why: ", why(r))
		}
	}
	if err := p.print(&rows); err != nil || list.NextCursor == nil {
		return err
	}
	_, err = fmt.Fprintln(p.Stdout, "there are more; --limit shows them")
	return err
}

// why returns the reason why a run did not succeed: of a script that failed, the
// last line that it wrote to stderr, without the path of the script that a shell
// begins it with.
func why(r triggers.Run) string {
	lines := strings.Split(strings.TrimSpace(r.Stderr.Text), "\n")
	last := strings.TrimSpace(lines[len(lines)-1])
	if r.Status == triggers.StatusFailed && last != "" {
		if dir, message, ok := strings.Cut(last, "/"+r.Event+": "); ok && !strings.Contains(dir, " ") {
			return message
		}
		return last
	}
	return r.ErrorMessage
}

// took returns how long the script ran, or has been running.
func took(r triggers.Run) string {
	switch {
	case r.StartTime == 0:
		return "-"
	case r.EndTime == 0:
		return time.Since(r.StartTime.Std()).Round(time.Second).String() + " so far"
	}
	return r.EndTime.Std().Sub(r.StartTime.Std()).Round(time.Millisecond).String()
}

type triggerShowCmd struct {
	serverFlags
	ID string `arg:"" name:"run" complete:"getTriggerRun.runId" help:"Id of the run, its beginning or end, or last."`
}

// Run prints one run for people.
func (c *triggerShowCmd) Run(ctx context.Context, p *program) error {
	r, done, err := ask[triggers.Run](ctx, p, &c.serverFlags, "getTriggerRun", map[string]any{"runId": c.ID})
	if done {
		return err
	}
	var b strings.Builder
	line := func(name, value string) {
		if value != "" {
			_, _ = terminal.Fprintf(&b, "%-12s %s\n", name+":", value)
		}
	}
	line("run", r.RunID)
	line("event", fmt.Sprintf("%s, attempt %d (event id %s)", r.Event, r.Attempt, r.EventID))
	line("status", string(r.Status))
	line("why", r.ErrorMessage)
	if r.ExitCode != nil {
		line("exit status", fmt.Sprint(*r.ExitCode))
	}
	line("signal", r.Signal)
	line("happened", clock(r.EventTime))
	line("queued", clock(r.QueueTime))
	line("started", clock(r.StartTime))
	line("ended", clock(r.EndTime))
	line("took", took(r))
	line("user", r.User)
	line("request", r.RequestID)
	line("transfer", r.TransferID)
	line("parameters", string(r.Parameters))
	output(&b, "stdout", r.Stdout)
	output(&b, "stderr", r.Stderr)
	switch r.Status {
	case triggers.StatusFailed, triggers.StatusTimeout, triggers.StatusCancelled:
		_, _ = terminal.Fprintf(&b, "\nOnce it is mended: jetstream trigger retry %s\n", r.RunID)
	}
	_, err = io.WriteString(p.Stdout, terminal.PrintableLines(b.String()))
	return err
}

func output(b *strings.Builder, name string, o triggers.Output) {
	if o.Text == "" && o.DroppedBytes == 0 {
		return
	}
	b.WriteString("\n" + name)
	if o.DroppedBytes > 0 {
		fmt.Fprintf(b, " (%d bytes in the middle were not kept)", o.DroppedBytes)
	}
	b.WriteString(":\n")
	for text := range strings.Lines(o.Text) {
		b.WriteString("  " + strings.TrimSuffix(text, "\n") + "\n")
	}
}
