//go:build unix

package triggers_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"jetstream/internal/store"
	"jetstream/internal/stream"
	"jetstream/triggers"
)

// The benchmarks compare the engine with a bare implementation that is measured
// in the same run, alternately. The ratio is the median over the rounds; above
// 1 the engine is faster.

// bench is an engine with a database and an event log, as in the server.
type bench struct {
	*triggers.Engine
	b      *testing.B
	dir    string
	db     *store.DB
	ended  chan triggers.Status
	pruned chan struct{} // gets one whenever the queue has become empty
}

// pruning is a store that reports each Prune.
type pruning struct {
	triggers.Store
	done chan struct{}
}

func (p pruning) Prune(ctx context.Context, keep int, maxBytes int64) error {
	defer func() { p.done <- struct{}{} }()
	return p.Store.Prune(ctx, keep, maxBytes)
}

func newBench(b *testing.B) *bench {
	e := &bench{b: b, dir: b.TempDir(), ended: make(chan triggers.Status, 1024), pruned: make(chan struct{}, 1024)}
	state := b.TempDir()
	var err error
	if e.db, err = store.Open(b.Context(), state); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = e.db.Close() })
	log, err := stream.New(b.Context(), stream.Options{Store: e.db.Entries()})
	if err != nil {
		b.Fatal(err)
	}
	e.db.OnRunChange(triggers.NoteRun(log))
	e.Engine, err = triggers.New(triggers.Options{
		Dir: e.dir, StateDir: state, Store: pruning{e.db.Runs(), e.pruned}, Stream: log, QueueMax: 1 << 30,
		Environ: []string{"PATH=" + os.Getenv("PATH")},
		Ended:   func(r triggers.Run, _ time.Duration) { e.ended <- r.Status },
	})
	if err != nil {
		b.Fatal(err)
	}
	return e
}

// event returns an on.* event of a small API command.
func (e *bench) event() triggers.Event {
	ev, err := commandEvent(`{"request":"send.createManifest","parameters":{"fileMappings":{"/reel":"/reel"}}}`,
		"Manifest requested.", `{"manifestId":"0199f3a2c1d47e0f8a5b6c7d8e9f0a1b","status":"pending","processing":true}`,
		triggers.Cause{User: "alice", Key: "user:alice", RequestID: "0199f3a2c1d47e0f8a5b6c7d8e9f0a1c"})
	if err != nil {
		e.b.Fatal(err)
	}
	return ev
}

// rounds measures engine and bare alternately, n operations each, and reports
// both and their ratio. ready, if not nil, is called before engine and not
// measured.
func rounds(b *testing.B, n int, ready, engine, bare func(n int)) {
	var e, p, ratios []float64
	timed := func(f func(int)) float64 {
		start := time.Now()
		f(n)
		return float64(time.Since(start).Nanoseconds()) / float64(n)
	}
	if ready != nil {
		ready(n)
	}
	timed(engine) // both once to get warm
	timed(bare)
	for b.Loop() {
		p = append(p, timed(bare))
		if ready != nil {
			ready(n)
		}
		e = append(e, timed(engine))
		ratios = append(ratios, p[len(p)-1]/e[len(e)-1])
	}
	b.ReportMetric(0, "ns/op") // a round is no operation
	b.ReportMetric(1e9/median(e), "engine/s")
	b.ReportMetric(1e9/median(p), "bare/s")
	b.ReportMetric(median(ratios), "ratio")
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// BenchmarkEmit compares durable emits of 64 callers, and of one, with bare
// transactions that insert rows of the same size.
func BenchmarkEmit(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run("callers="+itoa(callers), func(b *testing.B) {
			e := newBench(b)
			if err := os.WriteFile(filepath.Join(e.dir, "on.send.createManifest"), nil, 0o755); err != nil {
				b.Fatal(err)
			}
			ev := e.event()
			emit := func(n int) {
				var wg sync.WaitGroup
				for range callers {
					wg.Go(func() {
						for range n / callers {
							if err := e.Emit(b.Context(), ev); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
			}
			bare := newBareTable(b, string(ev.Parameters))
			rounds(b, 50*callers, nil, emit, func(n int) {
				for range n / callers {
					bare.commit(callers)
				}
			})
		})
	}
}

// BenchmarkDispatch compares the execution of scripts, from the queue to the
// record, with a bare loop that starts the same program and waits for it.
func BenchmarkDispatch(b *testing.B) {
	noop := filepath.Join(b.TempDir(), "noop")
	build := exec.Command("go", "build", "-o", noop, "./testdata/noop")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("the static program could not be built: %v\n%s", err, out)
	}
	for name, put := range map[string]func(path string) error{
		"static": func(path string) error { return os.Link(noop, path) },
		"shell":  func(path string) error { return os.WriteFile(path, []byte("#!/bin/sh\nexit 0\n"), 0o755) },
	} {
		b.Run(name, func(b *testing.B) { benchDispatch(b, put) })
	}
}

func benchDispatch(b *testing.B, put func(path string) error) {
	e := newBench(b)
	path := filepath.Join(e.dir, "launch")
	if err := put(path); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	var served sync.WaitGroup
	served.Go(func() {
		if err := e.Serve(ctx); err != nil {
			b.Error(err)
		}
	})
	defer served.Wait()
	defer cancel()
	ev, err := triggers.Launch.Event(triggers.LaunchParams{Port: "8886"}, triggers.Cause{})
	if err != nil {
		b.Fatal(err)
	}
	rounds(b, 100, func(n int) {
		for len(e.pruned) > 0 {
			<-e.pruned
		}
		err := e.db.Runs().Update(b.Context(), func(tx triggers.Tx) error {
			for range n {
				if err := e.Queue(tx, ev); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}, func(n int) {
		for range n {
			if status := <-e.ended; status != triggers.StatusSuccess {
				b.Fatalf("a run ended as %s", status)
			}
		}
		<-e.pruned // the last thing that is done for them
	}, func(n int) {
		for range n {
			p, err := os.StartProcess(path, []string{path, "8886"}, &os.ProcAttr{})
			if err != nil {
				b.Fatal(err)
			}
			if _, err := p.Wait(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
