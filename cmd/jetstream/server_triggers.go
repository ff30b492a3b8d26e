package main

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"jetstream/handlers"
	"jetstream/internal/api"
	"jetstream/middleware"
	"jetstream/triggers"
)

// openTriggers checks the trigger directory as the doctor does and makes the
// queue and its runner.
func (s *server) openTriggers(ctx context.Context) (err error) {
	if s.c.TriggerDir != "" {
		findings, err := triggers.CheckDir(s.c.TriggerDir, eventNames(), s.p.Getenv("PATH"))
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
		Dir: s.c.TriggerDir, StateDir: s.c.PersistentStateDir, Store: s.db.Runs(), Stream: s.stream, Files: s.db.Received(), Tokens: s.accounts,
		Log: s.log, LogRuns: s.c.TriggerLog, Console: s.p.Stderr,
		Timeout: s.c.TriggerTimeout, Grace: orNone(s.c.TriggerGrace), ShutdownGrace: orNone(s.c.ShutdownGrace), Keep: s.c.TriggerKeep,
		Order: triggers.Order(s.c.TriggerOrder), Concurrency: s.c.TriggerConcurrency, QueueMax: s.c.TriggerQueueMax,
		Env: s.c.TriggerEnv, Environ: s.p.Environ, ServerUID: s.serverUID, ProcessID: s.serverID, Ended: s.metrics.runEnded,
	})
	return err
}

// emitLaunch fires launch once both ports listen and scripts can call back.
func (s *server) emitLaunch(ctx context.Context, apiHost string, apiPort int) error {
	s.triggers.SetAPI(triggers.APIAccess{Host: localHost(apiHost), Port: apiPort, CAFile: s.c.TLSCert})
	e, err := triggers.Launch.Event(triggers.LaunchParams{Port: strconv.Itoa(apiPort)}, triggers.Cause{Key: "launch"})
	if err != nil {
		return err
	}
	return s.triggers.Emit(ctx, e)
}

// emitCommand makes the observer that fires on.<command>; it is mounted only
// with --trigger-on-api. The reply waits for it, so that the event is saved
// before the caller knows. When it cannot be saved (full disk) it is lost, which
// the engine counts and logs, and the command, which was carried out, is
// answered as it is.
func (s *server) emitCommand(registry *api.Registry) middleware.Observer {
	kinds := map[string]triggers.Kind[triggers.CommandParams]{}
	for _, name := range registry.Names() {
		kinds[name] = triggers.Command(name)
	}
	return func(ctx context.Context, r *middleware.Record) {
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

// eventNames lists what a script may be called.
func eventNames() []string {
	var names []string
	for _, d := range handlers.Events() {
		names = append(names, d.Name)
	}
	return names
}

// report is the last line: what ran, what waits for the next start.
func (s *server) report() {
	r, err := s.triggers.Report(context.Background())
	if err != nil {
		s.log.Error("the trigger queue could not be counted", "error", err)
		return
	}
	s.log.Info("stopped", "triggersRan", r.Ran, "triggersWaiting", r.Waiting, "triggersDropped", r.Dropped)
}

// orNone turns a flag's 0, which means none, into what triggers.Options call
// none: there 0 is the default.
func orNone(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}
