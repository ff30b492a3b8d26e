//go:build unix

package triggers_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"jetstream/internal/store"
	"jetstream/triggers"
)

// gone reports whether a process is dead, reaped or not.
func gone(pid int) bool {
	if syscall.Kill(pid, 0) == syscall.ESRCH {
		return true
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(b), ") Z ")
}

// pids reads the numbers that a script has written.
func pids(t *testing.T, text string) (out []int) {
	t.Helper()
	for word := range strings.FieldsSeq(text) {
		pid, err := strconv.Atoi(word)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, pid)
	}
	return out
}

// inTime calls try with a time limit for its script. If the script was not fast
// enough, as on a busy machine, it calls try again with twice the time.
func inTime(t *testing.T, try func(limit time.Duration) (shown bool)) {
	t.Helper()
	for limit := 200 * time.Millisecond; !try(limit); limit *= 2 {
		if limit > 30*time.Second {
			t.Fatalf("the script did not come to its point within %v", limit)
		}
	}
}

func TestTimeoutEndsTheWholeGroup(t *testing.T) {
	inTime(t, func(limit time.Duration) bool {
		r := newRig(t, func(o *triggers.Options) { o.Timeout, o.Grace = limit, 50*time.Millisecond })
		r.fifo("never")
		// The script and its child ignore SIGTERM: the third is needed for
		// both.
		r.script("launch", "#!/bin/sh\ntrap '' TERM\n(cat never) &\necho $$ $!\ncat never\nwait\n")
		r.script("send.destinationCreated", "#!/bin/sh\n")
		r.serve()
		r.launch("1")
		r.emit(triggers.SendDestinationCreated.Event(triggers.DestinationParams{}, triggers.Cause{}))
		run := r.ended()
		members := pids(t, run.Stdout.Text)
		if len(members) == 0 {
			return false
		}
		if run.Status != triggers.StatusTimeout || run.Signal != "SIGKILL" || !strings.Contains(run.ErrorMessage, limit.String()) {
			t.Errorf("run ended as %s by %s: %s", run.Status, run.Signal, run.ErrorMessage)
		}
		for _, pid := range members {
			if !gone(pid) {
				t.Errorf("process %d of the group survived", pid)
			}
		}
		next := r.ended()
		if next.Status == triggers.StatusTimeout {
			return false
		}
		if next.Status != triggers.StatusSuccess {
			t.Errorf("the next run ended as %s: %s", next.Status, next.ErrorMessage)
		}
		return true
	})
}

func TestTimeoutTerminatesBeforeItKills(t *testing.T) {
	inTime(t, func(limit time.Duration) bool {
		r := newRig(t, func(o *triggers.Options) { o.Timeout, o.Grace = limit, time.Minute })
		r.fifo("never")
		r.script("launch", "#!/bin/sh\ntrap 'echo bye; exit 5' TERM\ncat never &\necho ready\nwait\n")
		r.serve()
		r.launch("1")
		run := r.ended()
		if !strings.Contains(run.Stdout.Text, "ready") {
			return false
		}
		if run.Status != triggers.StatusTimeout || run.ExitCode == nil || *run.ExitCode != 5 || run.Stdout.Text != "ready\nbye\n" {
			t.Errorf("run ended as %+v", run)
		}
		return true
	})
}

func TestShutdownLetsTheScriptFinish(t *testing.T) {
	r := newRig(t, func(o *triggers.Options) { o.ShutdownGrace = time.Minute })
	gate := r.fifo("gate")
	r.script("launch", "#!/bin/sh\nread x < gate\necho done\n")
	r.serve()
	r.launch("1")
	r.launch("2")
	r.started()
	r.stop()
	r.launch("3") // what happens meanwhile is still saved
	open(t, gate)
	if run := r.succeeded(); run.Stdout.Text != "done\n" {
		t.Errorf("the script was cut off: %q", run.Stdout.Text)
	}
	r.end()
	if report, err := r.Report(t.Context()); err != nil || report != (triggers.Report{Ran: 1, Waiting: 2}) {
		t.Errorf("report is %+v (%v)", report, err)
	}
}

func TestShutdownInterruptsAndTheNextStartGoesOn(t *testing.T) {
	r := newRig(t, nil)
	said := r.fifo("said")
	r.fifo("never")
	r.script("send.destinationCreated", "#!/bin/sh\necho $1 $JETSTREAM_ATTEMPT $JETSTREAM_EVENT_ID >> order.txt\necho > said\ncat never\n")
	r.script("launch", "#!/bin/sh\necho former launch >> order.txt\n")
	event := func(name string) {
		r.emit(triggers.SendDestinationCreated.Event(triggers.DestinationParams{Destination: name}, triggers.Cause{}))
	}
	event("a")
	r.launch("1")
	event("b")
	r.serve()
	first := r.started()
	if _, err := os.ReadFile(said); err != nil {
		t.Fatal(err)
	}
	r.end()
	if run := r.ended(); run.Status != triggers.StatusInterrupted || !gone(first.PID) {
		t.Fatalf("run ended as %s (%s), its script gone: %t", run.Status, run.ErrorMessage, gone(first.PID))
	}
	r.script("send.destinationCreated", "#!/bin/sh\necho $1 $JETSTREAM_ATTEMPT $JETSTREAM_EVENT_ID >> order.txt\n")
	r.close()
	again := rigIn(t, r.dir, r.state, func(o *triggers.Options) { o.ProcessID = "the next" })
	again.serve()
	second := again.succeeded()
	b := again.succeeded()
	if second.Attempt != 2 || second.EventID != first.EventID || second.RunID == first.RunID || second.EventTime != first.EventTime {
		t.Errorf("the second attempt is %+v", second)
	}
	want := fmt.Sprintf("a 1 %s\na 2 %[1]s\nb 1 %s\n", first.EventID, b.EventID)
	if got := r.read("order.txt"); got != want {
		t.Errorf("ran\n%swant\n%s", got, want)
	}
	page, _, err := again.Runs(t.Context(), triggers.Filter{Event: "launch", Limit: 10})
	if err != nil || len(page) != 1 || page[0].Status != triggers.StatusCancelled || page[0].ErrorMessage == "" {
		t.Errorf("the former launch is %+v (%v), want it dropped", page, err)
	}
}

// The record of an interrupted launch does not say that it will run again, and
// it does not.
func TestShutdownEndsALaunchForGood(t *testing.T) {
	r := newRig(t, nil)
	r.fifo("never")
	r.script("launch", "#!/bin/sh\necho $1 >> ran.txt\ncat never\n")
	r.serve()
	r.launch("1")
	first := r.started()
	r.end()
	if run := r.ended(); run.Status != triggers.StatusCancelled || strings.Contains(run.ErrorMessage, "again at") || !gone(first.PID) {
		t.Errorf("the launch ended as %s: %s", run.Status, run.ErrorMessage)
	}
	r.close()
	again := rigIn(t, r.dir, r.state, func(o *triggers.Options) { o.ProcessID = "the next" })
	again.script("launch", "#!/bin/sh\necho $1 >> ran.txt\n")
	again.serve()
	again.launch("2")
	again.succeeded()
	if got := again.read("ran.txt"); got != "1\n2\n" && got != "2\n" {
		t.Errorf("ran for %q", got)
	}
}

func TestSlowScriptIsLoggedOnce(t *testing.T) {
	r := newRig(t, nil)
	r.SetTimes(time.Millisecond, time.Second, time.Second)
	gate := r.fifo("gate")
	r.script("launch", "#!/bin/sh\nread x < gate\n")
	r.serve()
	r.launch("1")
	r.started()
	r.launch("2")
	for !strings.Contains(r.log.String(), "holds up others") {
		<-r.log.wrote
	}
	h, err := r.Health(t.Context())
	if err != nil || len(h.Running) != 1 || !h.Running[0].HeldUp || len(h.Faults()) != 1 || !strings.Contains(h.Faults()[0], "the script launch (run ") {
		t.Errorf("health is %+v with the faults %q, %v", h, h.Faults(), err)
	}
	open(t, gate)
	r.succeeded()
	open(t, gate)
	r.succeeded()
	r.end()
	if n := strings.Count(r.log.String(), "holds up others"); n != 1 {
		t.Errorf("named %d times, want once (nobody waited for the second):\n%s", n, r.log)
	}
}

// child is this test program as another server process.
func child(role string) int {
	dir, state := os.Getenv("TRIGGERS_TEST_DIR"), os.Getenv("TRIGGERS_TEST_STATE")
	if role == "pid1" {
		return firstProcess(dir, state)
	}
	if role == "nproc" {
		if err := outOfProcesses(dir, state); err != nil {
			fmt.Println(err)
			return 1
		}
		return 0
	}
	if role == "property" {
		return propertyServer(dir, state)
	}
	db, e, err := childEngine(dir, state)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer db.Close()
	if role == "launch" {
		ev, err := triggers.Launch.Event(triggers.LaunchParams{Port: "8886"}, triggers.Cause{})
		if err == nil {
			err = e.Emit(context.Background(), ev)
		}
		if err != nil {
			fmt.Println(err)
			return 1
		}
	}
	if role == "serve" || role == "launch" {
		fmt.Println(e.Serve(context.Background())) // until it is killed
		return 1
	}
	for i := range 50 {
		ev, err := triggers.SendDestinationCreated.Event(triggers.DestinationParams{Destination: fmt.Sprint(i)}, triggers.Cause{})
		if err == nil {
			err = e.Emit(context.Background(), ev)
		}
		if err != nil {
			fmt.Println(err)
			return 1
		}
	}
	fmt.Println(e.Serve(context.Background())) // until it is killed
	return 1
}

func childEngine(dir, state string) (*store.DB, *triggers.Engine, error) {
	db, err := store.Open(context.Background(), state)
	if err != nil {
		return nil, nil, err
	}
	e, err := triggers.New(triggers.Options{Dir: dir, StateDir: state, Store: db.Runs(), Log: slog.Default(),
		Environ: os.Environ(), ProcessID: fmt.Sprint("killed ", os.Getpid())})
	return db, e, err
}

func TestKillNineLosesNothing(t *testing.T) {
	for _, leaderLeft := range []bool{true, false} {
		t.Run(fmt.Sprintf("leader left %t", leaderLeft), func(t *testing.T) { killNine(t, leaderLeft) })
	}
}

func killNine(t *testing.T, leaderLeft bool) {
	r := newRig(t, nil)
	said := r.fifo("said")
	r.fifo("never")
	// Number 7 hangs in its first attempt, with a child that ignores SIGTERM.
	r.script("send.destinationCreated", `#!/bin/sh
echo "$1 $JETSTREAM_ATTEMPT" >> order.txt
if [ "$1 $JETSTREAM_ATTEMPT" = "7 1" ]; then
	(trap '' TERM; exec cat never) &
	echo $! > said
	cat never
fi
`)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), "TRIGGERS_TEST_ROLE=server", "TRIGGERS_TEST_DIR="+r.dir, "TRIGGERS_TEST_STATE="+r.state)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	r.close()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(said)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	orphans := pids(t, string(b))
	r = rigIn(t, r.dir, r.state, nil)
	running, err := r.db.Runs().Running(t.Context())
	if err != nil || len(running) != 1 {
		t.Fatalf("%d runs are running (%v)", len(running), err)
	}
	if !leaderLeft && running[0].PID != 0 {
		if err := syscall.Kill(running[0].PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	for _, pid := range orphans {
		if gone(pid) {
			t.Fatalf("process %d died with its server; this test shows nothing", pid)
		}
	}
	r.serve()
	interrupted := r.ended()
	for _, pid := range orphans {
		if !gone(pid) {
			t.Errorf("orphan %d outlived the restart", pid)
		}
	}
	second := r.succeeded()
	if interrupted.Status != triggers.StatusInterrupted || second.Attempt != 2 || second.EventID != interrupted.EventID {
		t.Errorf("the run that was running became %+v, then %+v", interrupted, second)
	}
	for range 42 {
		r.succeeded()
	}
	var want strings.Builder
	for i := range 50 {
		fmt.Fprintf(&want, "%d 1\n", i)
		if i == 7 {
			want.WriteString("7 2\n")
		}
	}
	if got := r.read("order.txt"); got != want.String() {
		t.Errorf("ran\n%swant\n%s", got, want.String())
	}
}

// The server is killed between the start of the script and the save of its pid.
func TestOrphanWithoutPIDIsFoundByItsEnvironment(t *testing.T) {
	if _, err := os.Stat("/proc/self/environ"); err != nil {
		t.Skip("this system does not show the environment of processes")
	}
	r := newRig(t, nil)
	r.script("send.destinationCreated", "#!/bin/sh\n")
	r.emit(triggers.SendDestinationCreated.Event(triggers.DestinationParams{}, triggers.Cause{}))
	run, err := r.db.Runs().Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	run.Status, run.StartTime = triggers.StatusRunning, 1
	if err := r.db.Runs().Mark(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	start := func(id string) *exec.Cmd {
		cmd := exec.Command("/bin/cat", r.fifo(id))
		cmd.Env = []string{"A=b", "JETSTREAM_EVENT_ID=" + id, "JETSTREAM_ATTEMPT=1"}
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	orphan, other := start(run.EventID), start("another")
	r.serve()
	r.ended()
	r.succeeded()
	if err := orphan.Wait(); err == nil || err.Error() != "signal: terminated" {
		t.Errorf("the orphan ended with %v, want by SIGTERM", err)
	}
	if gone(other.Process.Pid) {
		t.Error("a process of another event was ended")
	}
	_ = other.Process.Kill()
	_ = other.Wait()
}

// firstProcess is PID 1 of a namespace. It runs a script that leaves a zombie
// and exits with 7, and checks that the zombie is reaped.
func firstProcess(dir, state string) int {
	fail := func(err error) int {
		fmt.Println(err)
		return 1
	}
	if err := exec.Command("mount", "-t", "proc", "proc", "/proc").Run(); err != nil {
		return fail(fmt.Errorf("mount /proc: %w", err))
	}
	db, e, err := childEngine(dir, state)
	if err != nil {
		return fail(err)
	}
	defer db.Close()
	// The inner shell's child is orphaned and dies at once.
	script := "#!/bin/sh\nsh -c 'sh -c \"exit 3\" & echo $! > orphan.txt'\nexit 7\n"
	if err := os.WriteFile(filepath.Join(dir, "launch"), []byte(script), 0o755); err != nil {
		return fail(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	served := make(chan error, 1)
	go func() { served <- e.Serve(ctx) }()
	ev, _ := triggers.Launch.Event(triggers.LaunchParams{}, triggers.Cause{})
	if err := e.Emit(ctx, ev); err != nil {
		return fail(err)
	}
	var run triggers.Run
	for limit := time.Now().Add(time.Minute); ; {
		page, _, err := e.Runs(ctx, triggers.Filter{Limit: 1})
		if err != nil {
			return fail(err)
		}
		if run = page[0]; run.EndTime != 0 {
			b, err := os.ReadFile(filepath.Join(dir, "orphan.txt"))
			pid, _ := strconv.Atoi(strings.TrimSpace(string(b)))
			if err == nil && syscall.Kill(pid, 0) == syscall.ESRCH {
				break
			}
		}
		if time.Now().After(limit) {
			return fail(fmt.Errorf("the orphan is still there; run: %+v", run))
		}
	}
	cancel()
	if err := <-served; err != nil {
		return fail(err)
	}
	if run.ExitCode == nil || *run.ExitCode != 7 {
		return fail(fmt.Errorf("the script's own end was taken away: %+v", run))
	}
	fmt.Println("orphan reaped, exit status 7 kept")
	return 0
}

// A process is recognized by its pid and start time; another process and one of
// an earlier boot are not.
func TestProcessStartNamesAProcess(t *testing.T) {
	for range 50 {
		before := triggers.BeforeStart()
		cmd := exec.Command("/bin/cat")
		in, err := cmd.StdinPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		start := triggers.StartOf(cmd.Process.Pid, before)
		if !triggers.Began(cmd.Process.Pid, start) {
			t.Errorf("process %d is not known by its start %x", cmd.Process.Pid, start)
		}
		for name, other := range map[string]uint64{"another start": start ^ 1<<30, "another boot": start ^ 1<<60, "no start": 0} {
			if triggers.Began(cmd.Process.Pid, other) {
				t.Errorf("process %d is known by %s", cmd.Process.Pid, name)
			}
		}
		if triggers.Began(1<<30, start) || triggers.Began(0, start) || triggers.Began(1, start) {
			t.Errorf("start %x names others", start)
		}
		if err := in.Close(); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
		if triggers.Began(cmd.Process.Pid, start) {
			t.Errorf("process %d is known after its end", cmd.Process.Pid)
		}
	}
}

func TestRunKeepsItsParametersAsTheyWere(t *testing.T) {
	r := newRig(t, nil)
	r.script("launch", "#!/bin/sh\n")
	r.serve()
	r.launch(`quotes " and ` + "\u2028")
	run := r.succeeded()
	var p triggers.LaunchParams
	if err := json.Unmarshal(run.Parameters, &p); err != nil || p.Port != `quotes " and `+"\u2028" {
		t.Errorf("parameters are kept as %s (%v)", run.Parameters, err)
	}
	if !slices.Equal(run.Parameters, json.RawMessage(`{"port":"quotes \" and \u2028"}`)) {
		t.Errorf("parameters are kept as %s", run.Parameters)
	}
}

// TestStoppedScriptHandlesItsEnd: SIGTERM alone would wait until somebody
// continues the script, which nobody does.
func TestStoppedScriptHandlesItsEnd(t *testing.T) {
	inTime(t, func(limit time.Duration) bool {
		r := newRig(t, func(o *triggers.Options) { o.Timeout, o.Grace = limit, 10*time.Second })
		r.script("launch", "#!/bin/sh\ntrap 'echo bye; exit 5' TERM\necho ready\nkill -STOP $$\n")
		r.serve()
		r.launch("1")
		run := r.ended()
		if !strings.Contains(run.Stdout.Text, "ready") {
			return false
		}
		if run.Status != triggers.StatusTimeout || run.ExitCode == nil || *run.ExitCode != 5 || run.Stdout.Text != "ready\nbye\n" {
			t.Errorf("run ended as %+v", run)
		}
		return true
	})
}
