//go:build unix

package receiver_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"jetstream/internal/account"
	"jetstream/internal/store"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/receiver"
	"jetstream/internal/transfer/wire"
	"jetstream/triggers"
)

func newUser(name, sandbox string) account.NewUser {
	return account.NewUser{Name: name, Password: "secret", Sandbox: sandbox}
}

// The environment of a child that finishes a transfer and is killed at it.
const (
	childState = "JETSTREAM_TEST_STATE"
	childDie   = "JETSTREAM_TEST_DIE" // before:N, after:N (updates) or placed:N:DIR (files)
)

const crashFiles = 600

// dying is a store that kills its process at an update.
type dying struct {
	transfer.RecvStore
	before, after int64
	n             atomic.Int64
}

func kill() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

func (d *dying) Update(ctx context.Context, fn func(transfer.RecvTx) error) error {
	n := d.n.Add(1)
	if n == d.before {
		kill()
	}
	err := d.RecvStore.Update(ctx, fn)
	if n == d.after {
		kill()
	}
	return err
}

// notifying tells when a transfer is complete.
type notifying struct {
	emitter
	done context.CancelFunc
}

func (n notifying) Queue(tx triggers.Tx, e triggers.Event) error {
	tx.AfterCommit(n.done)
	return n.emitter.Queue(tx, e)
}

// child finishes what is left in a state directory, or dies at it.
func child() int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	db, err := store.Open(ctx, os.Getenv(childState))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer db.Close()
	id, err := wire.LoadIdentity(os.Getenv(childState))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	d := &dying{RecvStore: db.Received()}
	how, at, _ := strings.Cut(os.Getenv(childDie), ":")
	at, dir, _ := strings.Cut(at, ":")
	n, _ := strconv.ParseInt(at, 10, 64)
	switch how {
	case "before":
		d.before = n
	case "after":
		d.after = n
	case "placed":
		go func() {
			for {
				if list, _ := os.ReadDir(dir); int64(len(list)) >= n {
					kill()
				}
				runtime.Gosched()
			}
		}()
	}
	open, err := db.Received().RecvTransfers(ctx, transfer.Page{Status: transfer.StatusReceiving, Limit: 1})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if len(open) == 0 { // the one before was killed after the last step
		cancel()
	}
	r, err := receiver.New(receiver.Options{
		Store: d, Clients: db.Received(), Emitter: notifying{done: cancel}, Accounts: account.New(db.Accounts(), account.Options{}), Identity: id,
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	limit := time.AfterFunc(30*time.Second, func() { panic("the transfer was not finished in time") })
	defer limit.Stop()
	if err := r.Serve(ctx, ln); err != nil && len(open) > 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// halting is a store that refuses every update once a transfer is to finish.
type halting struct {
	transfer.RecvStore
	halted atomic.Bool
}

func (h *halting) Update(ctx context.Context, fn func(transfer.RecvTx) error) error {
	if h.halted.Load() {
		return errInjected
	}
	return h.RecvStore.Update(ctx, func(tx transfer.RecvTx) error {
		err := fn(watching{tx, h})
		return err
	})
}

type watching struct {
	transfer.RecvTx
	h *halting
}

func (w watching) SaveRecvTransfer(r *transfer.RecvTransfer) error {
	if r.Finishing {
		w.h.halted.Store(true)
	}
	return w.RecvTx.SaveRecvTransfer(r)
}

// TestKilledWhileFinishing kills the receiver, with SIGKILL, before and after
// each of its database updates and in the midst of renaming, and lets the next
// process go on: every file must end under its name once, with one event.
func TestKilledWhileFinishing(t *testing.T) {
	for _, conflict := range []string{"overwrite", "rename"} {
		t.Run(conflict, func(t *testing.T) {
			s := newSite(t, t.TempDir())
			s.stop()
			s.start(func(st transfer.RecvStore) transfer.RecvStore { return &halting{RecvStore: st} })
			p := newSender(t, s)
			p.open.Conflict = conflict
			var entries []wire.Entry
			for i := range crashFiles {
				entries = append(entries, wire.Entry{Name: wire.Name(fmt.Sprintf("/d/%03d", i)), Size: 3, Mode: 0o640, ModTime: 1e18})
			}
			p.begin(entries...)
			for i := range int64(crashFiles) {
				p.data(i, 0, fmt.Appendf(nil, "%03d", i))
			}
			p.send(wire.TypeEnd, struct{}{})
			p.wantAnswer("unavailable", "could not go on")
			s.stop()
			target := filepath.Join(s.sandbox, "d")
			if conflict == "rename" { // one name is taken
				if err := os.Mkdir(target, 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(target, "007"), []byte("old"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			deaths := []string{"placed:1:" + target, "placed:100:" + target, "before:1"}
			for n := 1; n <= 9; n++ {
				deaths = append(deaths, fmt.Sprintf("after:%d", n), fmt.Sprintf("before:%d", n+1))
				if n == 3 {
					deaths = append(deaths, "placed:300:"+target, "placed:520:"+target)
				}
			}
			killed := 0
			for _, die := range append(deaths, "never") {
				cmd := exec.CommandContext(t.Context(), os.Args[0])
				cmd.Env = append(os.Environ(), childState+"="+s.state, childDie+"="+die)
				out, err := cmd.CombinedOutput()
				if err == nil {
					break
				}
				if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
					t.Fatalf("child %s: %v\n%s", die, err, out)
				}
				killed++
			}
			t.Logf("%d processes were killed", killed)
			// A child that is watched from outside may come further than it
			// should before it is killed, and so spare another its death: 12
			// on an idle machine.
			if killed < 9 {
				t.Errorf("only %d processes were killed, want 9 at least", killed)
			}
			s.start(nil)
			row, err := s.receiver.Transfer(t.Context(), p.xfer, "")
			if err != nil || row.Status != transfer.StatusComplete {
				t.Fatalf("the transfer is %s: %s (%v)", row.Status, row.ErrorMessage, err)
			}
			if n := s.events(); n != 1 {
				t.Errorf("%d events, want 1", n)
			}
			listed := 0
			for f, err := range s.db.Received().List(t.Context(), transfer.RecvSubject(p.id.PublicKey(), p.xfer)) {
				if err != nil {
					t.Fatal(err)
				}
				if got, err := os.ReadFile(f.FilePath); err != nil || "/d/"+string(got) != f.ManifestFile {
					t.Errorf("%s at %s holds %q (%v)", f.ManifestFile, f.FilePath, got, err)
				}
				listed++
			}
			want := crashFiles
			if conflict == "rename" {
				want++
				if got, _ := os.ReadFile(filepath.Join(target, "007")); string(got) != "old" {
					t.Errorf("the file that was there holds %q", got)
				}
			}
			list, err := os.ReadDir(target)
			if err != nil || listed != crashFiles || len(list) != want {
				t.Errorf("%d files are listed and %d there (%v), want %d and %d", listed, len(list), err, crashFiles, want)
			}
			s.stop()
			if entries, _ := os.ReadDir(s.sandbox); len(entries) != 1 {
				t.Errorf("the sandbox holds %v, want only d", entries)
			}
		})
	}
}
