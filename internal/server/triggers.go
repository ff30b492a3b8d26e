package server

import (
	"context"
	"errors"
	"log/slog"
	"strconv"

	"jetstream/handlers"
	"jetstream/internal/api"
	"jetstream/middleware"
	"jetstream/triggers"
)

// openTriggers runs the checks of `jetstream trigger check` on the trigger
// directory and creates the queue and its runner.
func (s *Server) openTriggers(ctx context.Context) (err error) {
	if s.o.TriggerDir != "" {
		findings, err := triggers.CheckDir(s.o.TriggerDir, EventNames(), s.o.Path)
		if err != nil {
			return errors.New(api.ErrorOf(err).Message)
		}
		levels := map[triggers.Level]slog.Level{
			triggers.LevelError: slog.LevelWarn, triggers.LevelWarning: slog.LevelWarn, triggers.LevelNote: slog.LevelInfo,
		}
		for _, f := range findings {
			s.log.Log(ctx, levels[f.Level], "trigger directory", "file", f.File, "finding", f.Message)
		}
	}
	s.triggers, err = triggers.New(triggers.Options{
		Dir: s.o.TriggerDir, StateDir: s.o.StateDir, Store: s.db.Runs(), Stream: s.stream, Files: s.db.Received(), Tokens: s.accounts,
		Log: s.log, LogRuns: s.o.TriggerLog, Console: s.o.Console,
		Timeout: s.o.TriggerTimeout, Grace: s.o.TriggerGrace, ShutdownGrace: s.o.ShutdownGrace, Keep: s.o.TriggerKeep,
		Order: s.o.TriggerOrder, Concurrency: s.o.TriggerConcurrency, QueueMax: s.o.TriggerQueueMax, QueueBytes: s.o.TriggerQueueBytes,
		Env: s.o.TriggerEnv, Environ: s.o.Environ, ServerUID: s.serverUID, ProcessID: s.serverID, Ended: s.metrics.runEnded,
	})
	return err
}

// emitLaunch emits the event launch. Both ports must listen, so that scripts can
// call back.
func (s *Server) emitLaunch(ctx context.Context, e Endpoint) error {
	s.triggers.SetAPI(triggers.APIAccess{Host: localHost(e.APIHost), Port: e.APIPort, CAFile: s.o.TLSCert})
	launch, err := triggers.Launch.Event(triggers.LaunchParams{Port: strconv.Itoa(e.APIPort)}, triggers.Cause{Key: "launch"})
	if err != nil {
		return err
	}
	return s.triggers.Emit(ctx, launch)
}

// emitCommand returns the observer that emits on.<command>; it is mounted only
// with Options.TriggerOnAPI. It runs before the reply is written, so the event is
// saved by then. If saving fails (full disk), the event is dropped, counted and
// logged, and the reply is unchanged: the command was carried out. A call with the
// parameter dryRun fires none, since it has changed nothing.
func (s *Server) emitCommand(registry *api.Registry) middleware.Observer {
	kinds := map[string]triggers.Kind[triggers.CommandParams]{}
	for _, name := range registry.Names() {
		kinds[name] = triggers.Command(name)
	}
	return func(ctx context.Context, r *middleware.Record) {
		if dry, _ := strconv.ParseBool(string(r.Params["dryRun"])); dry {
			return
		}
		kind := kinds[r.Command.Name]
		_ = s.triggers.EmitWanted(ctx, kind.Definition, func() triggers.Event {
			return triggers.CommandEvent(kind, triggers.CommandParams{
				Command: r.Request(), Status: string(r.Status), Message: r.Message, Result: r.Result,
			}, triggers.Cause{
				User: r.Caller.User, RequestID: r.Caller.RequestID, Key: triggers.UserKey(r.Caller.User), Depth: r.Caller.Depth,
			})
		})
	}
}

// EventNames returns the names of all events, which are those of scripts.
func EventNames() []string {
	var names []string
	for _, d := range handlers.Events() {
		names = append(names, d.Name)
	}
	return names
}

// report logs the last line: the number of runs ended and still queued.
func (s *Server) report() {
	r, err := s.triggers.Report(context.Background())
	if err != nil {
		s.log.Error("the trigger queue could not be counted", "error", err)
		return
	}
	s.log.Info("stopped", "triggersRan", r.Ran, "triggersWaiting", r.Waiting, "triggersDropped", r.Dropped)
}
