package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"jetstream/handlers"
	"jetstream/internal/api"
	"jetstream/internal/client"
	"jetstream/internal/terminal"
	"jetstream/triggers"
)

// triggerCmd is jetstream trigger: shows script runs and controls the queue.
type triggerCmd struct {
	List   triggerListCmd   `cmd:"" help:"List the scripts, what is wrong with them, and the state of the queue."`
	Check  triggerCheckCmd  `cmd:"" help:"Examine a trigger directory; needs no server."`
	Emit   triggerEmitCmd   `cmd:"" help:"Queue the script of an event, with sample or given parameters."`
	Runs   triggerRunsCmd   `cmd:"" help:"List the latest runs."`
	Show   triggerShowCmd   `cmd:"" help:"Show one run: how it ended, why it failed, what it wrote."`
	Retry  triggerRetryCmd  `cmd:"" help:"Queue another attempt at the event of a run that has ended."`
	Cancel triggerCancelCmd `cmd:"" help:"Cancel a run that waits or runs."`
	Pause  triggerPauseCmd  `cmd:"" help:"Start no further script until resume; events are queued as ever."`
	Resume triggerResumeCmd `cmd:"" help:"Let the queue go on after a pause."`
	Tail   triggerTailCmd   `cmd:"" help:"Watch scripts run: what starts, what it writes, how it ends."`
}

// serverFlags are the flags of commands that call a server and print what it answers.
type serverFlags struct {
	callFlags `group:"Login:"`
	outputFlags
}

// ask calls a command of the API, whose ids may be parts of them; if JSON is wanted it
// prints the answer, and done is true.
func ask[T any](ctx context.Context, p *program, s *serverFlags, command string, params map[string]any) (result T, done bool, err error) {
	conn, _, err := s.connect(ctx, p)
	if err != nil {
		return result, true, err
	}
	defer conn.Close()
	return askOn[T](ctx, p, s, conn, command, params)
}

// askOn is ask with a client that is there already.
func askOn[T any](ctx context.Context, p *program, s *serverFlags, conn *client.Client, command string, params map[string]any) (result T, done bool, err error) {
	if declared, ok := handlers.Commands(handlers.Deps{}).Find(command); ok {
		if err := findIDs(ctx, conn, declared, params); err != nil {
			return result, true, err
		}
	}
	reply, err := conn.Call(ctx, command, params)
	if err != nil {
		return result, true, err
	}
	if s.asJSON() {
		return result, true, p.printJSON(reply.Result)
	}
	result, err = client.As[T](reply, nil)
	return result, err != nil, err
}

type triggerEmitCmd struct {
	serverFlags
	Event      string   `arg:"" complete:"events" help:"Name of the event."`
	Parameters string   `arg:"" optional:"" help:"Parameters as one JSON object, or @FILE, or @- for standard input."`
	Param      []string `name:"param" sep:"none" placeholder:"NAME=VALUE" help:"One parameter; repeatable. What is not given has a sample value."`
	Yes        bool     `help:"Do not ask: the script runs on the server, and may do there what it does for a real event."`
}

// Run queues the event.
func (c *triggerEmitCmd) Run(ctx context.Context, p *program) error {
	parameters, err := c.parameters(p)
	if err != nil {
		return err
	}
	if err := p.confirm(ctx, c.Yes, "This runs the server's script for "+c.Event+", which cannot tell it from a real event unless it looks at JETSTREAM_SAMPLE."); err != nil {
		return err
	}
	params := map[string]any{"event": c.Event}
	if len(parameters) > 0 {
		params["parameters"] = parameters
	}
	run, done, err := ask[triggers.Run](ctx, p, &c.serverFlags, "emitTrigger", params)
	if done {
		return err
	}
	_, err = terminal.Fprintf(p.Stdout, "%s is queued as run %s\n", run.Event, run.RunID)
	return err
}

// maxParameters bounds what is read of a file of parameters, in bytes.
const maxParameters = 16 << 20

func (c *triggerEmitCmd) parameters(p *program) (map[string]any, error) {
	parameters := map[string]any{}
	text := c.Parameters
	if file, ok := strings.CutPrefix(text, "@"); ok {
		r := p.Stdin
		if file != "-" {
			f, err := os.Open(file)
			if err != nil {
				return nil, usagef("the parameters cannot be read: %v", err)
			}
			defer func() { _ = f.Close() }()
			r = f
		}
		b, err := io.ReadAll(io.LimitReader(r, maxParameters))
		if err != nil {
			return nil, usagef("the parameters cannot be read: %v", err)
		}
		text = string(b)
	}
	if c.Parameters != "" {
		var object map[string]json.RawMessage // raw, so that values stay unchanged
		if err := json.Unmarshal([]byte(text), &object); err != nil || object == nil {
			return nil, usagef(`the parameters must be one JSON object, such as '{"port": "8886"}'`)
		}
		for name, value := range object {
			parameters[name] = value
		}
	}
	for _, pair := range c.Param {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return nil, usagef("--param %q must be NAME=VALUE", pair)
		}
		parameters[name] = value
		if isObjectParameter(c.Event, name) {
			object, err := parseObject(value)
			if err != nil {
				return nil, usagef("--param %s must be a JSON object", name)
			}
			parameters[name] = object
		}
	}
	return parameters, nil
}

// isObjectParameter reports whether a parameter of an event is no text.
func isObjectParameter(event, name string) bool {
	for _, d := range handlers.Events() {
		if d.Name == event {
			return slices.ContainsFunc(d.Params, func(f api.Field) bool { return f.Name == name && f.Kind == api.KindMap })
		}
	}
	return false
}

type triggerRetryCmd struct {
	serverFlags
	ID string `arg:"" name:"run" complete:"getTriggerRun.runId" help:"Id of the run, its beginning or end, or last."`
}

// Run queues another attempt.
func (c *triggerRetryCmd) Run(ctx context.Context, p *program) error {
	run, done, err := ask[triggers.Run](ctx, p, &c.serverFlags, "retryTriggerRun", map[string]any{"runId": c.ID})
	if done {
		return err
	}
	_, err = terminal.Fprintf(p.Stdout, "attempt %d at %s is queued as run %s\n", run.Attempt, run.Event, run.RunID)
	return err
}

type triggerCancelCmd struct {
	serverFlags
	ID string `arg:"" name:"run" complete:"getTriggerRun.runId" help:"Id of the run, its beginning or end, or last."`
}

// Run cancels.
func (c *triggerCancelCmd) Run(ctx context.Context, p *program) error {
	run, done, err := ask[triggers.Run](ctx, p, &c.serverFlags, "cancelTriggerRun", map[string]any{"runId": c.ID})
	if done {
		return err
	}
	text := "run %s is cancelled\n"
	if run.Status == triggers.StatusRunning {
		text = "the script of run %s is being ended\n"
	}
	_, err = terminal.Fprintf(p.Stdout, text, run.RunID)
	return err
}

type triggerPauseCmd struct{ serverFlags }

// Run pauses the queue.
func (c *triggerPauseCmd) Run(ctx context.Context, p *program) error {
	return c.setPaused(ctx, p, "pauseTriggers")
}

type triggerResumeCmd struct{ serverFlags }

// Run ends the pause.
func (c *triggerResumeCmd) Run(ctx context.Context, p *program) error {
	return c.setPaused(ctx, p, "resumeTriggers")
}

func (s *serverFlags) setPaused(ctx context.Context, p *program, command string) error {
	state, done, err := ask[triggers.QueueState](ctx, p, s, command, nil)
	if done {
		return err
	}
	return printQueue(p.Stdout, state)
}

// printQueue prints the state of the queue in a few lines.
func printQueue(w io.Writer, q triggers.QueueState) error {
	var b strings.Builder
	state := "open"
	if q.Paused {
		state = "paused (jetstream trigger resume lets it go on)"
	}
	fmt.Fprintf(&b, "queue: %s, order %s, %d waiting", state, q.Order, q.Waiting)
	if q.Waiting > 0 {
		fmt.Fprintf(&b, ", the oldest for %s", (time.Duration(q.OldestWaitingMillis) * time.Millisecond).Round(time.Second))
	}
	if n := q.DroppedFull + q.DroppedLoop + q.DroppedUnsaved; n > 0 {
		fmt.Fprintf(&b, ", %d dropped (%d by the bound, %d by a loop, %d not saved)", n, q.DroppedFull, q.DroppedLoop, q.DroppedUnsaved)
	}
	b.WriteString("\n")
	for _, r := range q.Running {
		fmt.Fprintf(&b, "running: %s, run %s, process %d, since %s\n", r.Event, r.RunID, r.PID, clock(r.Since))
	}
	for _, fault := range q.Faults {
		b.WriteString("fault: " + fault + "\n")
	}
	_, err := io.WriteString(w, terminal.PrintableLines(b.String()))
	return err
}
