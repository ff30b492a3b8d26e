package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"jetstream/internal/account"
)

// changerArg is the first argument of this test binary as the program that
// changes alice; a step of killedAt follows. It runs in the state directory.
const changerArg = "change-alice-until-killed"

// changeUntilKilled gives alice the hash "killed" as far as the step, tells so
// on standard output, and goes no further until standard input ends.
func changeUntilKilled(step string) error {
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	db, err := Open(context.Background(), dir)
	if err != nil {
		return err
	}
	stop := func() {
		fmt.Println(step)
		_, _ = io.Copy(io.Discard, os.Stdin)
	}
	update := func() error {
		return db.update(context.Background(), func(t *tx) error {
			_, err := t.exec("UPDATE users SET hash = 'killed' WHERE name = 'alice'")
			if step == "in the transaction" {
				stop()
			}
			return err
		})
	}
	g := db.current.generation
	if step == "having locked the file" {
		g.turn <- struct{}{}
		if _, err := g.lock(context.Background(), 0); err != nil {
			return err
		}
		stop()
	}
	return g.change(context.Background(), func() error {
		if step == "before the transaction" {
			stop()
		}
		err := update()
		if step == "after the commit" {
			stop()
		}
		return err
	})
}

// killedAt starts such a program, and returns when it has come to the step,
// with what kills it.
func killedAt(t *testing.T, dir, step string) (kill func()) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, changerArg, step)
	cmd.Dir = dir
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killed := false
	kill = func() {
		if !killed {
			killed = true
			_ = cmd.Process.Kill()
			_ = stdin.Close()
			_ = cmd.Wait()
		}
	}
	t.Cleanup(kill)
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || line != step+"\n" {
		t.Fatalf("the program said %q (%v)", line, err)
	}
	return kill
}

// A process that is killed in the midst of a change, at whatever step: nobody
// is told what does not hold any more, the next change waits for nothing, and
// the next call, change or start sees to it that users are kept again.
func TestKilledChangeLeavesNothingWrong(t *testing.T) {
	for _, c := range []struct {
		step, hash, next string
		keeps            bool // while it is there
	}{
		{"having locked the file", "first", "call", true},
		{"before the transaction", "first", "call", false},
		{"in the transaction", "first", "call", false},
		{"after the commit", "killed", "call", false},
		{"after the commit", "killed", "change", false},
		{"after the commit", "killed", "start", false},
	} {
		t.Run(c.step+", then a "+c.next, func(t *testing.T) {
			server := openWithAlice(t)
			kill := killedAt(t, server.current.generation.dir, c.step)
			wantHash(t, server, "alice", c.hash)
			if keeps(t, server) != c.keeps {
				t.Errorf("kept while the other is there: %v", !c.keeps)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			_, err := server.Accounts().UpdateUser(ctx, "alice", func(*account.User) error { return errors.New("was called") })
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("a change beside the other: %v", err)
			}
			kill()
			switch c.next {
			case "call":
				wantHash(t, server, "alice", c.hash)
			case "change":
				setHash(t, server, "alice", "second")
			case "start":
				openBeside(t, server)
			}
			if _, settled := server.current.generation.number(); !settled {
				t.Errorf("the %s has left the number as it was", c.next)
			}
			if c.next != "change" {
				wantHash(t, server, "alice", c.hash)
			}
			if !keeps(t, server) {
				t.Error("nothing is kept afterwards")
			}
			setHash(t, openBeside(t, server), "alice", "last")
			wantHash(t, server, "alice", "last")
		})
	}
}
