package triggers_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"jetstream/triggers"
)

// killedByScripts starts a server in another process some times, and each time waits until a
// script has killed it.
func (r *rig) killedByScripts(role string, times int) {
	r.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		r.t.Fatal(err)
	}
	for range times {
		ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
		cmd := exec.CommandContext(ctx, exe)
		cmd.Env = append(os.Environ(), "TRIGGERS_TEST_ROLE="+role, "TRIGGERS_TEST_DIR="+r.dir, "TRIGGERS_TEST_STATE="+r.state)
		out, err := cmd.CombinedOutput()
		if err == nil || ctx.Err() != nil {
			r.t.Fatalf("the script did not end the server: %v\n%s", err, out)
		}
		cancel()
	}
}

// TestScriptThatKillsTheServerIsGivenUp: it may do so five times; then its run
// has failed, the next event runs, and health says so until it is retried.
func TestScriptThatKillsTheServerIsGivenUp(t *testing.T) {
	r := newRig(t, nil)
	r.script("send.destinationCreated", "#!/bin/sh\necho \"$1 $JETSTREAM_ATTEMPT\" >> order.txt\n[ $1 != bad ] || kill -9 $PPID\n")
	for _, name := range []string{"bad", "good"} {
		r.emit(triggers.SendDestinationCreated.Event(triggers.DestinationParams{Destination: name}, triggers.Cause{}))
	}
	r.close()
	r.killedByScripts("serve", 5)
	r = rigIn(t, r.dir, r.state, nil)
	r.serve()
	bad := r.failed("during 5 attempts in a row")
	r.succeeded()
	if got, want := r.read("order.txt"), "bad 1\nbad 2\nbad 3\nbad 4\nbad 5\ngood 1\n"; got != want {
		t.Errorf("ran\n%swant\n%s", got, want)
	}
	r.awaitFault("run " + bad.RunID + " of send.destinationCreated was given up")

	r.script("send.destinationCreated", "#!/bin/sh\n")
	again, err := r.Retry(t.Context(), bad.RunID)
	if err != nil || again.Lost != 0 || again.Attempt != 6 {
		t.Errorf("the retry is %+v (%v)", again, err)
	}
	r.succeeded()
	if h, err := r.Health(t.Context()); err != nil || len(h.Faults()) != 0 {
		t.Errorf("after the retry health says %s (%v)", strings.Join(h.Faults(), "; "), err)
	}
}

// TestLaunchScriptThatKillsTheServerIsGivenUp: each start has a launch of its own,
// and what is behind it must run all the same.
func TestLaunchScriptThatKillsTheServerIsGivenUp(t *testing.T) {
	r := newRig(t, nil)
	r.script("launch", "#!/bin/sh\necho launch >> order.txt\nkill -9 $PPID\n")
	r.close()
	r.killedByScripts("launch", 5)
	for start := range 3 {
		r = rigIn(t, r.dir, r.state, func(o *triggers.Options) { o.ProcessID = fmt.Sprint("start ", start) })
		r.script("send.destinationCreated", "#!/bin/sh\necho created >> order.txt\n")
		r.launch("8886")
		r.emit(triggers.SendDestinationCreated.Event(triggers.DestinationParams{}, triggers.Cause{}))
		r.serve()
		var bad triggers.Run
		if start == 0 {
			bad = r.failed("during 5 attempts in a row")
		}
		r.failed("not started, as the server ended during several launch scripts in a row")
		r.succeeded()
		if start == 0 {
			r.awaitFault("run " + bad.RunID + " of launch was given up")
		}
		if start < 2 {
			r.close()
			continue
		}
		givenUp, err := r.Health(t.Context())
		if err != nil || len(givenUp.GivenUp) != 1 {
			t.Fatalf("given up are %v (%v)", givenUp.GivenUp, err)
		}
		r.script("launch", "#!/bin/sh\necho mended >> order.txt\n")
		if _, err := r.Retry(t.Context(), givenUp.GivenUp[0].RunID); err != nil {
			t.Fatal(err)
		}
		r.succeeded()
		r.close()
	}
	r = rigIn(t, r.dir, r.state, func(o *triggers.Options) { o.ProcessID = "last" })
	r.launch("8886")
	r.serve()
	r.succeeded()
	if got, want := r.read("order.txt"), strings.Repeat("launch\n", 5)+strings.Repeat("created\n", 3)+strings.Repeat("mended\n", 2); got != want {
		t.Errorf("ran\n%swant\n%s", got, want)
	}
}

// TestLongScriptOutlivesStopsOfTheServer: a clean stop a minute after the start
// of the script ends the row of lost attempts, an earlier one and a kill do not.
func TestLongScriptOutlivesStopsOfTheServer(t *testing.T) {
	var r triggers.Run
	for range 20 {
		if triggers.Lose(&r, true, time.Minute) || r.Lost != 0 {
			t.Fatalf("a stop after a minute counts: %+v", r)
		}
	}
	for i, clean := range []bool{true, false, true, false, true} {
		if givenUp := triggers.Lose(&r, clean, 59*time.Second); givenUp != (i == 4) || r.Lost != i+1 {
			t.Errorf("after %d: %+v", i+1, r)
		}
	}
	if r.Status != triggers.StatusFailed {
		t.Errorf("the run is %s", r.Status)
	}
}

// TestStopSoonAfterTheStartCounts: a script that asks for a stop and waits.
func TestStopSoonAfterTheStartCounts(t *testing.T) {
	r := newRig(t, nil)
	r.fifo("never")
	r.script("send.destinationCreated", "#!/bin/sh\ncat never\n")
	r.emit(triggers.SendDestinationCreated.Event(triggers.DestinationParams{}, triggers.Cause{}))
	for i := range 5 {
		r.serve()
		r.started()
		r.end()
		want := triggers.StatusInterrupted
		if i == 4 {
			want = triggers.StatusFailed
		}
		if run := r.ended(); run.Status != want || run.Attempt != i+1 {
			t.Fatalf("attempt %d ended as %s: %s", run.Attempt, run.Status, run.ErrorMessage)
		}
		r.close()
		r = rigIn(t, r.dir, r.state, nil)
	}
	if n, err := r.Waiting(t.Context()); err != nil || n != 0 {
		t.Errorf("%d runs wait (%v)", n, err)
	}
}
