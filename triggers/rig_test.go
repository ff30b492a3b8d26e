//go:build unix

package triggers_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"jetstream/internal/store"
	"jetstream/triggers"
)

func TestMain(m *testing.M) {
	if role := os.Getenv("TRIGGERS_TEST_ROLE"); role != "" {
		os.Exit(child(role))
	}
	goleak.VerifyTestMain(m)
}

// watched is a store that reports each run that it has saved.
type watched struct {
	triggers.Store
	marks chan triggers.Run
}

func (w *watched) Mark(ctx context.Context, r *triggers.Run) error {
	err := w.Store.Mark(ctx, r)
	if err == nil {
		w.marks <- *r
	}
	return err
}

func (w *watched) Start(ctx context.Context, r *triggers.Run) (bool, error) {
	started, err := w.Store.Start(ctx, r)
	if started {
		w.marks <- *r
	}
	return started, err
}

func (w *watched) MarkProcess(r *triggers.Run) error {
	err := w.Store.MarkProcess(r)
	if err == nil {
		w.marks <- *r
	}
	return err
}

func (w *watched) EndAndStart(ctx context.Context, ended, next *triggers.Run) (bool, error) {
	started, err := w.Store.EndAndStart(ctx, ended, next)
	if err == nil {
		w.marks <- *ended
	}
	if started {
		w.marks <- *next
	}
	return started, err
}

func (w *watched) Interrupt(ctx context.Context, ended, again *triggers.Run) error {
	err := w.Store.Interrupt(ctx, ended, again)
	if err == nil {
		w.marks <- *ended
	}
	return err
}

// files are file lists by subject.
type files map[string][]triggers.ListedFile

func (f files) List(_ context.Context, subject string) iter.Seq2[triggers.ListedFile, error] {
	return func(yield func(triggers.ListedFile, error) bool) {
		for _, l := range f[subject] {
			if !yield(l, nil) {
				return
			}
		}
	}
}

// tokens holds the valid run tokens.
type tokens struct {
	mu    sync.Mutex
	alive map[string]string
	n     int
}

func (t *tokens) IssueRunToken(user string, launch bool, depth int) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n++
	token := fmt.Sprintf("token-%d", t.n)
	t.alive[token] = fmt.Sprintf("%s %t %d", user, launch, depth)
	return token
}

func (t *tokens) RevokeRunToken(token string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.alive, token)
}

// lockedBuffer is a buffer that is safe for concurrent use.
type lockedBuffer struct {
	mu    sync.Mutex
	b     bytes.Buffer
	wrote chan struct{} // holds one token when something was written
}

func newBuffer() *lockedBuffer { return &lockedBuffer{wrote: make(chan struct{}, 1)} }

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.wrote <- struct{}{}:
	default:
	}
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// rig is an engine with a database and a trigger directory.
type rig struct {
	*triggers.Engine
	t            *testing.T
	dir, state   string
	db           *store.DB
	marks        chan triggers.Run
	log, console *lockedBuffer
	stop         func()
	served       chan struct{}
}

func newRig(t *testing.T, change func(*triggers.Options)) *rig {
	t.Helper()
	return rigIn(t, t.TempDir(), t.TempDir(), change)
}

func rigIn(t *testing.T, dir, state string, change func(*triggers.Options)) *rig {
	t.Helper()
	db, err := store.Open(t.Context(), state)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, dir: dir, state: state, db: db, marks: make(chan triggers.Run, 100_000), log: newBuffer(), console: newBuffer()}
	o := triggers.Options{
		Dir: dir, StateDir: state, Store: &watched{db.Runs(), r.marks}, Environ: []string{"PATH=" + os.Getenv("PATH")},
		Log: slog.New(slog.NewTextHandler(r.log, nil)), Console: r.console, ServerUID: "uid-1", ProcessID: "process-" + t.Name(),
		Grace: 100 * time.Millisecond, ShutdownGrace: -1,
	}
	if change != nil {
		change(&o)
	}
	if r.Engine, err = triggers.New(o); err != nil {
		t.Fatal(err)
	}
	r.SetAPI(triggers.APIAccess{Host: "127.0.0.1", Port: 8886})
	t.Cleanup(r.close)
	return r
}

// serve runs the queue until the test or r.end ends it.
func (r *rig) serve() {
	ctx, cancel := context.WithCancel(context.Background())
	r.served = make(chan struct{})
	r.stop = cancel
	go func() {
		defer close(r.served)
		if err := r.Serve(ctx); err != nil {
			r.t.Errorf("Serve: %v", err)
		}
	}()
}

func (r *rig) end() {
	if r.stop != nil {
		r.stop()
		<-r.served
	}
}

// close ends the engine, so that another one can use its state.
func (r *rig) close() {
	r.end()
	if err := r.db.Close(); err != nil {
		r.t.Error(err)
	}
}

// script installs a script by renaming it.
func (r *rig) script(event, text string) string {
	r.t.Helper()
	path := filepath.Join(r.dir, event)
	r.write(path+".new", text, 0o755)
	if err := os.Rename(path+".new", path); err != nil {
		r.t.Fatal(err)
	}
	return path
}

func (r *rig) write(path, text string, mode os.FileMode) {
	r.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) emit(e triggers.Event, err error) {
	r.t.Helper()
	if err == nil {
		err = r.Emit(context.Background(), e)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// launch emits launch with any text as its port.
func (r *rig) launch(port string) {
	r.t.Helper()
	r.emit(triggers.Launch.Event(triggers.LaunchParams{Port: port}, triggers.Cause{}))
}

// await returns the next saved state of a run for which fits returns true.
func (r *rig) await(what string, fits func(triggers.Run) bool) triggers.Run {
	r.t.Helper()
	limit := time.After(2 * time.Minute)
	for {
		select {
		case run := <-r.marks:
			if fits(run) {
				return run
			}
		case <-limit:
			r.t.Fatalf("no run came to be %s; log:\n%s", what, r.log)
		}
	}
}

// ended returns the next run that has ended, from the database.
func (r *rig) ended() triggers.Run {
	r.t.Helper()
	run := r.await("ended", func(run triggers.Run) bool { return run.EndTime != 0 })
	stored, err := r.Run(context.Background(), run.RunID)
	if err != nil {
		r.t.Fatal(err)
	}
	return stored
}

// started returns the next run whose script was started.
func (r *rig) started() triggers.Run {
	r.t.Helper()
	return r.await("started", func(run triggers.Run) bool { return run.PID != 0 })
}

func (r *rig) succeeded() triggers.Run {
	r.t.Helper()
	run := r.ended()
	if run.Status != triggers.StatusSuccess {
		r.t.Fatalf("run ended as %s: %s\nstdout: %s\nstderr: %s", run.Status, run.ErrorMessage, run.Stdout.Text, run.Stderr.Text)
	}
	return run
}

func (r *rig) failed(parts ...string) triggers.Run {
	r.t.Helper()
	run := r.ended()
	if run.Status != triggers.StatusFailed {
		r.t.Fatalf("run ended as %s (%s), want failed", run.Status, run.ErrorMessage)
	}
	for _, part := range parts {
		if !strings.Contains(run.ErrorMessage, part) {
			r.t.Errorf("the run failed with %q, want it to say %q", run.ErrorMessage, part)
		}
	}
	return run
}

func (r *rig) read(name string) string {
	r.t.Helper()
	b, err := os.ReadFile(filepath.Join(r.dir, name))
	if err != nil {
		r.t.Fatal(err)
	}
	return string(b)
}

// commandEvent returns an on.* event.
func commandEvent(command, message, result string, cause triggers.Cause) (triggers.Event, error) {
	return triggers.Command("send.createManifest").Event(triggers.CommandParams{
		Command: json.RawMessage(command), Status: "success", Message: message, Result: json.RawMessage(result)}, cause)
}
