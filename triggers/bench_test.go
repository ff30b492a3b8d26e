//go:build unix

package triggers_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"jetstream/internal/store"
	"jetstream/triggers"
)

func benchEngine(b *testing.B) (*triggers.Engine, *store.DB, string, chan triggers.Run) {
	dir, state := b.TempDir(), b.TempDir()
	db, err := store.Open(b.Context(), state)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	marks := make(chan triggers.Run, 1<<20)
	e, err := triggers.New(triggers.Options{Dir: dir, StateDir: state, Store: &watched{db.Runs(), marks}})
	if err != nil {
		b.Fatal(err)
	}
	return e, db, dir, marks
}

// BenchmarkEmit is durable emits by 64 callers.
func BenchmarkEmit(b *testing.B) {
	e, _, dir, _ := benchEngine(b)
	if err := os.WriteFile(filepath.Join(dir, "launch"), nil, 0o755); err != nil {
		b.Fatal(err)
	}
	ev, _ := triggers.Launch.Event(triggers.LaunchParams{Port: "8886"}, triggers.Cause{})
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := e.Emit(context.Background(), ev); err != nil {
				b.Error(err)
			}
		}
	})
}

// BenchmarkDispatch compares the runner with a bare loop over the same program.
func BenchmarkDispatch(b *testing.B) {
	program, err := exec.LookPath("true")
	if err != nil {
		b.Skip(err)
	}
	b.Run("bare", func(b *testing.B) {
		for b.Loop() {
			p, err := os.StartProcess(program, []string{program, "8886"}, &os.ProcAttr{})
			if err != nil {
				b.Fatal(err)
			}
			if _, err := p.Wait(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("engine", func(b *testing.B) {
		e, db, dir, marks := benchEngine(b)
		if err := os.Symlink(program, filepath.Join(dir, "launch")); err != nil {
			b.Fatal(err)
		}
		ev, _ := triggers.Launch.Event(triggers.LaunchParams{Port: "8886"}, triggers.Cause{})
		err := db.Runs().Update(b.Context(), func(tx triggers.Tx) error {
			for range b.N {
				if err := e.Queue(tx, ev); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithCancel(b.Context())
		served := make(chan error, 1)
		b.ResetTimer()
		go func() { served <- e.Serve(ctx) }()
		for ended := 0; ended < b.N; {
			if run := <-marks; run.EndTime != 0 {
				ended++
			}
		}
		b.StopTimer()
		cancel()
		if err := <-served; err != nil {
			b.Fatal(err)
		}
	})
}
