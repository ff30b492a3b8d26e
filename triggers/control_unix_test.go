//go:build unix

package triggers_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"jetstream/internal/api"
	"jetstream/triggers"
)

// created emits send.destinationCreated with a name and a key.
func (r *rig) created(name, key string) {
	r.t.Helper()
	r.emit(triggers.SendDestinationCreated.Event(triggers.DestinationParams{Destination: name}, triggers.Cause{Key: key}))
}

func code(err error) api.Code {
	if err == nil {
		return api.CodeSuccess
	}
	return api.ErrorOf(err).Code
}

func TestKeysRunSideBySideEachInOrder(t *testing.T) {
	r := newRig(t, func(o *triggers.Options) { o.Order, o.Concurrency = triggers.OrderKey, 2 })
	gate := r.fifo("gate")
	r.script("send.destinationCreated", "#!/bin/sh\ncase $1 in a1) read x < gate ;; esac\necho $1 >> order.txt\n")
	r.serve()
	for _, name := range []string{"a1", "a2", "a3"} {
		r.created(name, "a")
	}
	r.started()
	// b overtakes the runs behind a1; c may not run as a third one.
	r.created("b1", "b")
	r.created("b2", "b")
	for range 2 {
		r.succeeded()
	}
	if got := r.read("order.txt"); got != "b1\nb2\n" {
		t.Errorf("while a1 ran, %q ran", got)
	}
	open(t, gate)
	for range 3 {
		r.succeeded()
	}
	if got := r.read("order.txt"); got != "b1\nb2\na1\na2\na3\n" {
		t.Errorf("ran in the order %q", got)
	}
}

// Runs that were queued with one order are executed with another one, the
// interrupted run first.
func TestQueueOutlivesAChangeOfItsOrder(t *testing.T) {
	r := newRig(t, nil)
	said := r.fifo("said")
	r.fifo("never")
	r.script("send.destinationCreated", "#!/bin/sh\necho $1 $JETSTREAM_ATTEMPT >> order.txt\ncase $1$JETSTREAM_ATTEMPT in stop?1) echo > said; cat never ;; esac\n")
	for _, name := range []string{"a1", "stop1", "a2", "stop2", "a3", "stop3", "b1"} {
		r.created(name, name[:1])
	}
	dir, state := r.dir, r.state
	next := func(order triggers.Order) {
		r.close()
		r = rigIn(t, dir, state, func(o *triggers.Options) { o.Order, o.Concurrency = order, 1 })
		r.serve()
	}
	for _, order := range []triggers.Order{triggers.OrderGlobal, triggers.OrderKey, triggers.OrderNone} {
		next(order)
		if _, err := os.ReadFile(said); err != nil { // the one that stops
			t.Fatal(err)
		}
	}
	next(triggers.OrderGlobal)
	r.succeeded()
	r.succeeded()
	want := "a1 1\nstop1 1\nstop1 2\na2 1\nstop2 1\nstop2 2\na3 1\nstop3 1\nstop3 2\nb1 1\n"
	if got := r.read("order.txt"); got != want {
		t.Errorf("ran\n%swant\n%s", got, want)
	}
}

// startLog is a store that records the running scripts at the start of each
// run.
type startLog struct {
	triggers.Store
	e *triggers.Engine

	mu     sync.Mutex
	seqs   []int64
	faults []string
}

func (s *startLog) Start(ctx context.Context, r *triggers.Run) (bool, error) {
	h, err := s.e.Health(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, before := range h.Running {
		if before.PID == 0 {
			s.faults = append(s.faults, fmt.Sprintf("run %d (%s) begins before the script of %s was started", r.Seq, r.Event, before.Event))
		}
	}
	if len(h.Running) != len(s.seqs) || err != nil {
		s.faults = append(s.faults, fmt.Sprintf("run %d begins while %d scripts run, not %d (%v)", r.Seq, len(h.Running), len(s.seqs), err))
	}
	s.seqs = append(s.seqs, r.Seq)
	return s.Store.Start(ctx, r)
}

// Each script is started before the next run begins, also if one takes long to
// prepare, and none waits for the end of another.
func TestOrderNoneStartsInOrder(t *testing.T) {
	const runs = 12
	log := &startLog{}
	r := newRig(t, func(o *triggers.Options) {
		o.Order, o.Concurrency = triggers.OrderNone, runs
		o.Store.(*watched).Store, log.Store = log, o.Store.(*watched).Store
		o.Files = listFunc(func(yield func(triggers.ListedFile, error) bool) {
			for range 2_000 { // the runs between have none to spool
				if !yield(triggers.ListedFile{ManifestFile: "/a", FilePath: "/b"}, nil) {
					return
				}
			}
		})
	})
	log.e = r.Engine
	r.fifo("never")
	r.script("recv.transferComplete", "#!/bin/sh\ncat never\n")
	r.script("launch", "#!/bin/sh\ncat never\n")
	for i := range runs {
		if i%2 == 0 {
			r.emit(triggers.RecvTransferComplete.Event(triggers.TransferParams{}, triggers.Cause{Subject: "s"}))
		} else {
			r.launch("1")
		}
	}
	r.serve()
	for range runs {
		r.started()
	}
	log.mu.Lock()
	defer log.mu.Unlock()
	for _, fault := range log.faults {
		t.Error(fault)
	}
	if len(log.seqs) != runs || !slices.IsSorted(log.seqs) {
		t.Errorf("the runs began in the order %v", log.seqs)
	}
}

func TestQueueMaxDropsCommandEventsOnly(t *testing.T) {
	r := newRig(t, func(o *triggers.Options) { o.QueueMax = 2 })
	r.script("on.send.createManifest", "#!/bin/sh\n")
	r.script("launch", "#!/bin/sh\n")
	for range 5 {
		r.emit(commandEvent(`{}`, "", `{}`, triggers.Cause{}))
	}
	r.launch("1")
	h, err := r.Health(t.Context())
	if err != nil || h.Waiting != 3 || !h.Full || h.Dropped[triggers.DropFull] != 3 || len(h.Faults()) != 1 || h.OldestWaiting == 0 {
		t.Errorf("health is %+v, %v", h, err)
	}
	if n := strings.Count(r.log.String(), "event dropped"); n != 1 {
		t.Errorf("the log says so %d times, want once a minute:\n%s", n, r.log)
	}
	e, _ := commandEvent(`{}`, "", `{}`, triggers.Cause{})
	if _, err := r.EmitNow(t.Context(), e); code(err) != api.CodeUnavailable {
		t.Errorf("asked for: %v", err)
	}
	r.serve()
	for range 3 {
		r.succeeded()
	}
	r.emit(commandEvent(`{}`, "", `{}`, triggers.Cause{})) // there is room again
	r.succeeded()
}

// refusing is a store that cannot save events.
type refusing struct{ triggers.Store }

func (refusing) Update(context.Context, func(triggers.Tx) error) error {
	return errors.New("no space left on device")
}

func TestUnsavedEventIsCountedAndTurnsHealthRed(t *testing.T) {
	r := newRig(t, func(o *triggers.Options) { o.Store = refusing{o.Store} })
	r.script("on.send.createManifest", "#!/bin/sh\n")
	e, _ := commandEvent(`{}`, "", `{}`, triggers.Cause{})
	for range 3 {
		if err := r.Emit(t.Context(), e); err == nil {
			t.Error("an event that was not saved passed for saved")
		}
	}
	h, err := r.Health(t.Context())
	if err != nil || !h.SaveFailing || h.Dropped[triggers.DropUnsaved] != 3 || h.Waiting != 0 || len(h.Faults()) != 1 {
		t.Errorf("health is %+v, %v", h, err)
	}
	if n := strings.Count(r.log.String(), "no space left"); n != 1 {
		t.Errorf("the log says so %d times, want once a minute", n)
	}
}

// pauseFailing is a store that cannot save a pause.
type pauseFailing struct{ triggers.Store }

func (pauseFailing) SetPaused(context.Context, bool) error {
	return api.Errorf(api.CodeUnavailable, "the server's disk is full")
}

func TestUnsavedPauseSaysWhy(t *testing.T) {
	r := newRig(t, func(o *triggers.Options) { o.Store = pauseFailing{o.Store} })
	err := r.Resume(t.Context())
	if code(err) != api.CodeUnavailable || !strings.Contains(api.ErrorOf(err).Message, "disk is full") {
		t.Errorf("a pause that is not saved: %v", err)
	}
}

func TestEmitOutlivesItsCaller(t *testing.T) {
	r := newRig(t, nil)
	r.script("on.send.createManifest", "#!/bin/sh\n")
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // the client hung up
	e, _ := commandEvent(`{}`, "", `{}`, triggers.Cause{})
	if err := r.Emit(ctx, e); err != nil {
		t.Errorf("the event of a client that hung up is lost: %v", err)
	}
}

func TestPauseOutlivesARestart(t *testing.T) {
	r := newRig(t, nil)
	gate := r.fifo("gate")
	r.script("send.destinationCreated", "#!/bin/sh\ncase $1 in a) read x < gate ;; esac\n")
	r.serve()
	r.created("a", "")
	r.started()
	if err := r.Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.created("b", "")
	open(t, gate)
	r.succeeded() // what ran has finished
	r.close()
	next := rigIn(t, r.dir, r.state, nil)
	next.serve()
	if h, err := next.Health(t.Context()); err != nil || !h.Paused || h.Waiting != 1 {
		t.Errorf("after a restart: %+v, %v", h, err)
	}
	next.created("c", "")
	if err := next.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"b"`, `"c"`} {
		if run := next.succeeded(); !strings.Contains(string(run.Parameters), want) || run.StartTime == 0 {
			t.Errorf("ran %s, want %s", run.Parameters, want)
		}
	}
}

func TestRunsCanBeCancelledAndRetried(t *testing.T) {
	r := newRig(t, nil)
	r.fifo("never")
	r.script("send.destinationCreated", "#!/bin/sh\ncase $1$JETSTREAM_ATTEMPT in hang1) cat never ;; esac\n")
	r.serve()
	r.created("hang", "")
	running := r.started()
	r.created("second", "")
	page, _, err := r.Runs(t.Context(), triggers.Filter{Status: triggers.StatusQueued, Limit: 1})
	if err != nil || len(page) != 1 {
		t.Fatal(page, err)
	}
	waiting := page[0]
	for _, id := range []string{running.RunID, waiting.RunID} {
		if _, err := r.Retry(t.Context(), id); code(err) != api.CodeConflict {
			t.Errorf("retry of a run that has not ended: %v", err)
		}
	}
	if was, err := r.Cancel(t.Context(), waiting.RunID, "ann"); err != nil || was.Status != triggers.StatusCancelled || was.ErrorMessage != "cancelled by ann before it began" {
		t.Errorf("cancelled in the queue: %+v, %v", was, err)
	}
	if _, err := r.Cancel(t.Context(), running.RunID, "ann"); err != nil {
		t.Fatal(err)
	}
	if run := r.ended(); run.RunID != running.RunID || run.Status != triggers.StatusCancelled || run.Signal != "SIGTERM" || !gone(running.PID) {
		t.Errorf("cancelled while it ran: %+v", run)
	}
	if _, err := r.Cancel(t.Context(), running.RunID, "ann"); code(err) != api.CodeConflict {
		t.Errorf("cancelled again: %v", err)
	}
	for _, err := range []error{second(r.Cancel(t.Context(), "none", "ann")), second(r.Retry(t.Context(), "none"))} {
		if code(err) != api.CodeNotFound {
			t.Errorf("a run that is not there: %v", err)
		}
	}
	for attempt := 2; attempt <= 3; attempt++ { // of the first run each time
		again, err := r.Retry(t.Context(), running.RunID)
		if err != nil || again.Attempt != attempt || again.EventID != running.EventID || again.RunID == running.RunID {
			t.Fatalf("retry: %+v, %v", again, err)
		}
		if run := r.succeeded(); run.RunID != again.RunID {
			t.Errorf("ran %+v", run)
		}
	}
	h, err := r.Health(t.Context())
	if err != nil || h.Waiting != 0 || fmt.Sprint(h.Runs["send.destinationCreated"]) != "map[cancelled:2 success:2]" {
		t.Errorf("health is %+v, %v", h, err)
	}
}

func second(_ triggers.Run, err error) error { return err }

// The last member of the group is a zombie, which its parent outside of the
// group does not reap.
func TestZombieDoesNotKeepAGroupAlive(t *testing.T) {
	if _, err := os.Stat("/usr/bin/setsid"); err != nil {
		t.Skip("setsid is not installed")
	}
	inTime(t, func(limit time.Duration) bool {
		r := newRig(t, func(o *triggers.Options) { o.Timeout, o.Grace = limit, 20*time.Millisecond })
		gate := r.fifo("gate")
		r.fifo("never")
		r.fifo("left")
		r.script("launch", `#!/bin/sh
(sh -c 'exit 0' & exec setsid sh -c 'echo > left; exec cat gate' >/dev/null 2>&1) &
read x < left
echo ready
cat never
`)
		r.serve()
		r.launch("1")
		run := r.ended()
		if run.Stdout.Text != "ready\n" {
			return false
		}
		if run.Status != triggers.StatusTimeout {
			t.Errorf("run ended as %s: %s", run.Status, run.ErrorMessage)
		}
		open(t, gate) // its parent was still there
		return true
	})
}

func TestEveryEventHasASample(t *testing.T) {
	for _, d := range append(triggers.Definitions(), triggers.Command("ls").Definition) {
		b, _, err := d.Sample(nil)
		if err != nil || strings.Contains(string(b), `""`) {
			t.Errorf("%s: the sample is %s, %v", d.Name, b, err)
		}
	}
	d := triggers.Command("ls").Definition
	b, _, err := d.Sample(map[string]any{"status": "notFound", "result": map[string]any{"a": 1.0}})
	if err != nil || !strings.Contains(string(b), `{"request":"ls","parameters":{}}`) || !strings.Contains(string(b), `"result":{"a":1}`) {
		t.Errorf("with given parameters: %s, %v", b, err)
	}
	if _, _, err := d.Sample(map[string]any{"status": 1.0, "result": "x", "port": "1"}); code(err) != api.CodeInvalid || len(api.ErrorOf(err).Fields) != 3 {
		t.Errorf("wrong parameters: %v", err)
	}
}

// The server is killed while a cancelled script ignores SIGTERM, and restarted.
func TestCancelledRunStaysCancelledAfterKillNine(t *testing.T) {
	r := newRig(t, func(o *triggers.Options) { o.Grace = time.Hour })
	r.fifo("never")
	ready := r.fifo("ready")
	r.script("send.destinationCreated", "#!/bin/sh\necho $JETSTREAM_ATTEMPT >> attempts.txt\ntrap '' TERM\necho > ready\ncat never\n")
	r.serve()
	r.created("x", "")
	running := r.started()
	if _, err := os.ReadFile(ready); err != nil {
		t.Fatal(err)
	}
	was, err := r.Cancel(t.Context(), running.RunID, "ann")
	if err != nil || was.Status != triggers.StatusRunning || was.ErrorMessage != "cancelled by ann while its script ran" {
		t.Fatalf("cancelled: %+v, %v", was, err)
	}
	// What is on disk now is what another process of the server would find.
	left, err := r.db.Runs().Running(t.Context())
	if err != nil || len(left) != 1 {
		t.Fatal(left, err)
	}
	next := newRig(t, nil)
	next.script("send.destinationCreated", "#!/bin/sh\necho $JETSTREAM_ATTEMPT >> attempts.txt\n")
	next.created("x", "")
	again, err := next.db.Runs().Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	again.Status, again.StartTime, again.ErrorMessage = triggers.StatusRunning, 1, left[0].ErrorMessage
	if err := next.db.Runs().Mark(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	next.created("y", "")
	next.serve()
	if run := next.ended(); run.RunID != again.RunID || run.Status != triggers.StatusCancelled || run.ErrorMessage != was.ErrorMessage || run.EndTime == 0 {
		t.Errorf("after the restart: %+v", run)
	}
	if next.succeeded(); next.read("attempts.txt") != "1\n" {
		t.Errorf("the script ran as %q", next.read("attempts.txt"))
	}
	_ = syscall.Kill(-running.PID, syscall.SIGKILL)
	if run := r.ended(); run.Status != triggers.StatusCancelled {
		t.Errorf("ended as %+v", run)
	}
}

// A run that is cancelled while the server stops does not run again.
func TestCancelledWhileStoppingIsNotInterrupted(t *testing.T) {
	r := newRig(t, func(o *triggers.Options) { o.Grace = time.Hour })
	ready, stopping := r.fifo("ready"), r.fifo("stopping")
	r.script("send.destinationCreated", "#!/bin/sh\ntrap 'echo > stopping' TERM\necho > ready\nwhile :; do sleep 0.1; done\n")
	r.serve()
	r.created("x", "")
	running := r.started()
	if _, err := os.ReadFile(ready); err != nil {
		t.Fatal(err)
	}
	r.stop()
	if _, err := os.ReadFile(stopping); err != nil { // SIGTERM of the stop has come
		t.Fatal(err)
	}
	if _, err := r.Cancel(t.Context(), running.RunID, "ann"); err != nil {
		t.Fatal(err)
	}
	_ = syscall.Kill(-running.PID, syscall.SIGKILL)
	if run := r.ended(); run.Status != triggers.StatusCancelled || run.ErrorMessage != "cancelled by ann while its script ran" {
		t.Errorf("ended as %+v", run)
	}
	<-r.served
	if n, err := r.Waiting(t.Context()); n != 0 || err != nil {
		t.Errorf("%d runs wait (%v)", n, err)
	}
}
