package handlers

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"jetstream/internal/api"
	"jetstream/internal/store"
	"jetstream/triggers"
)

func TestTriggerRunsGoOnByCursor(t *testing.T) {
	db, err := store.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	dir := t.TempDir()
	for _, name := range []string{"launch.bat", "launch", "send.destinationCreated", "send.destinationCreated.bat"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// The engine is not served: the runs stay queued.
	engine, err := triggers.New(triggers.Options{Dir: dir, StateDir: t.TempDir(), Store: db.Runs()})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		e, err := triggers.Launch.Event(triggers.LaunchParams{Port: fmt.Sprint(i)}, triggers.Cause{User: "ann"})
		if err != nil {
			t.Fatal(err)
		}
		if err := engine.Emit(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	e, err := triggers.SendDestinationCreated.Event(triggers.DestinationParams{}, triggers.Cause{})
	if err != nil {
		t.Fatal(err)
	}
	if err := engine.Emit(t.Context(), e); err != nil {
		t.Fatal(err)
	}

	r := api.NewRegistry(triggerCommands(Deps{Triggers: engine})...)
	for _, c := range r.All() {
		if c.Access != api.AccessSuperuser {
			t.Errorf("%s is not for superusers only", c.Name)
		}
	}
	type page struct {
		Runs []struct {
			RunID      string                `json:"runId"`
			Parameters struct{ Port string } `json:"parameters"`
		} `json:"runs"`
		NextCursor *string `json:"nextCursor"`
	}
	list := func(p getTriggerRunsParams) (l page) {
		t.Helper()
		out, err := do(t, r, "getTriggerRuns", p)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(out.Result, &l); err != nil {
			t.Fatal(err)
		}
		return l
	}
	var ports, ids []string
	for p := (getTriggerRunsParams{ListParams: api.ListParams{Limit: 2}, Event: "launch", Status: "queued"}); ; {
		l := list(p)
		for _, run := range l.Runs {
			ports, ids = append(ports, run.Parameters.Port), append(ids, run.RunID)
		}
		if l.NextCursor == nil {
			break
		}
		p.Cursor = *l.NextCursor
	}
	if fmt.Sprint(ports) != "[4 3 2 1 0]" {
		t.Errorf("pages of launch runs hold %v, want the newest first and each once", ports)
	}
	if l := list(getTriggerRunsParams{ListParams: api.ListParams{Limit: 100}}); len(l.Runs) != 6 || l.NextCursor != nil {
		t.Errorf("without filters: %d runs, cursor %v", len(l.Runs), l.NextCursor)
	}
	if l := list(getTriggerRunsParams{ListParams: api.ListParams{Limit: 100}, Since: int64(api.Now()) + 1e9}); l.Runs == nil || len(l.Runs) != 0 {
		t.Errorf("since the future: %v, want an empty list", l.Runs)
	}
	// An unknown event is refused, unless it has records of another version.
	older, err := triggers.Define[struct{}]("send.oldName", "An event of another version.").Event(struct{}{}, triggers.Cause{})
	if err != nil {
		t.Fatal(err)
	}
	of := getTriggerRunsParams{ListParams: api.ListParams{Limit: 100}, Event: "send.oldName", Status: "failed"}
	for name, want := range map[string]string{
		"send.oldName": `there is no event "send.oldName"`, "on.getuser": "did you mean on.getUser?", "lunch": "did you mean launch?",
		"nope": "jetstream trigger list",
	} {
		of.Event = name
		_, err := do(t, r, "getTriggerRuns", of)
		if e := api.ErrorOf(err); e == nil || e.Code != api.CodeInvalid || !strings.Contains(e.Message, want) || len(e.Fields) != 1 || e.Fields[0].Field != "event" {
			t.Errorf("event %s: %v, want invalid with %q", name, err, want)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "send.oldName"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := engine.Emit(t.Context(), older); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"send.oldName", "on.getUser", "recv.transferFailed"} {
		of.Event = name
		if l := list(of); len(l.Runs) != 0 {
			t.Errorf("%s: %v", name, l.Runs)
		}
	}
	if _, err := do(t, r, "getTriggerRuns", getTriggerRunsParams{ListParams: api.ListParams{Cursor: "x"}}); !errors.Is(err, &api.Error{Code: api.CodeInvalid}) {
		t.Errorf("bad cursor: %v", err)
	}
	out, err := do(t, r, "getTriggerRun", getTriggerRunParams{RunID: ids[0]})
	if err != nil {
		t.Fatal(err)
	}
	var run map[string]any
	if err := json.Unmarshal(out.Result, &run); err != nil || run["status"] != "queued" || run["startTime"] != nil || run["exitCode"] != nil {
		t.Errorf("run shown as %s (%v)", out.Result, err)
	}
	if _, err := do(t, r, "getTriggerRun", getTriggerRunParams{RunID: api.NewID()}); !errors.Is(err, &api.Error{Code: api.CodeNotFound}) {
		t.Errorf("unknown run: %v", err)
	}
}
