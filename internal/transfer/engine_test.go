package transfer_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"jetstream/internal/account"
	"jetstream/internal/api"
	"jetstream/internal/store"
	"jetstream/internal/transfer"
	"jetstream/triggers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is an engine on a database with the user alice, and a trigger directory
// with a script for each event of destinations.
type bench struct {
	*transfer.Engine
	t        testing.TB
	db       *store.DB
	state    string // state directory
	box      string // sandbox of alice
	scripts  string // trigger directory
	triggers *triggers.Engine
	options  transfer.Options
	accounts *account.Service
	stop     func() // ends Serve and waits for it
}

// newBench returns a bench with an engine that serves. change changes its
// options.
func newBench(t testing.TB, change ...func(*transfer.Options)) *bench {
	t.Helper()
	top := t.TempDir()
	b := &bench{t: t, state: filepath.Join(top, "state"), box: filepath.Join(top, "box"), scripts: filepath.Join(top, "triggers")}
	for _, dir := range []string{b.state, b.box, b.scripts} {
		b.must(os.Mkdir(dir, 0o700))
	}
	b.script("send.destinationCreated")
	b.script("send.destinationDeleted")
	var err error
	b.db, err = store.Open(t.Context(), b.state)
	b.must(err)
	t.Cleanup(func() { b.must(b.db.Close()) })
	b.must(b.db.Accounts().InsertUser(t.Context(), accountOf(b.box)))
	b.triggers, err = triggers.New(triggers.Options{Dir: b.scripts, StateDir: b.state, Store: b.db.Runs(), ProcessID: "p"})
	b.must(err)
	b.accounts = account.New(b.db.Accounts(), account.Options{Protected: []account.Protected{
		{What: "state directory", Path: b.state, Secret: true}, {What: "trigger directory", Path: b.scripts},
	}})
	b.options = transfer.Options{
		Store: b.db.Transfers(), Emitter: b.triggers, Accounts: b.accounts, SealKey: [32]byte{1, 2, 3},
		RecvPort: 8887, SaveEvery: time.Nanosecond,
	}
	for _, c := range change {
		c(&b.options)
	}
	b.start()
	t.Cleanup(func() { b.stop() })
	return b
}

// start makes a new engine on the same database and serves it.
func (b *bench) start() {
	b.t.Helper()
	var err error
	b.Engine, err = transfer.New(b.options)
	b.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Serve(ctx) }()
	b.stop = sync.OnceFunc(func() {
		cancel()
		b.must(<-done)
	})
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// refused checks that err has that code and that its message contains the
// texts.
func (b *bench) refused(err error, code api.Code, texts ...string) {
	b.t.Helper()
	e := api.ErrorOf(err)
	if e == nil || e.Code != code {
		b.t.Fatalf("got %v, want a refusal as %s", err, code)
	}
	for _, text := range texts {
		if !strings.Contains(e.Message, text) {
			b.t.Errorf("%q does not say %q", e.Message, text)
		}
	}
}

// script puts a script for event into the trigger directory: from then on its
// occurrences are queued.
func (b *bench) script(event string) {
	b.t.Helper()
	b.must(os.WriteFile(filepath.Join(b.scripts, event), []byte("#!/bin/sh\n"), 0o700))
}

// put makes files in the sandbox of alice; a name that ends in / is a
// directory.
func (b *bench) put(names ...string) {
	b.t.Helper()
	for _, name := range names {
		p := filepath.Join(b.box, filepath.FromSlash(name))
		b.must(os.MkdirAll(filepath.Dir(p), 0o755))
		if strings.HasSuffix(name, "/") {
			b.must(os.MkdirAll(p, 0o755))
			continue
		}
		b.must(os.WriteFile(p, []byte("content of "+name), 0o644))
	}
}

// manifest makes a manifest and waits until it is complete or failed.
func (b *bench) manifest(mappings map[string]string) transfer.Manifest {
	b.t.Helper()
	m, err := b.CreateManifest(b.t.Context(), by("alice"), transfer.ManifestParams{FileMappings: mappings})
	b.must(err)
	return b.walked(m.ManifestID)
}

func (b *bench) walked(id string) transfer.Manifest {
	b.t.Helper()
	m, err := b.WaitForManifest(b.t.Context(), api.Caller{Superuser: true}, id, 3*time.Minute)
	b.must(err)
	if m.Processing {
		b.t.Fatalf("manifest %s is still %s after three minutes", id, m.Status)
	}
	return m
}

// complete makes a manifest that must become complete.
func (b *bench) complete(mappings map[string]string) transfer.Manifest {
	b.t.Helper()
	m := b.manifest(mappings)
	if m.Status != transfer.StatusComplete || m.ErrorMessage != nil {
		b.t.Fatalf("manifest of %v is %s: %s", mappings, m.Status, *m.ErrorMessage)
	}
	return m
}

// fails makes a manifest that must fail, with a message that contains the texts
// and no path of the server, and without a file list.
func (b *bench) fails(mappings map[string]string, texts ...string) {
	b.t.Helper()
	m := b.manifest(mappings)
	if m.Status != transfer.StatusError || m.ErrorMessage == nil || m.TotalFiles != nil {
		b.t.Fatalf("manifest of %v is %s with message %v, want an error", mappings, m.Status, m.ErrorMessage)
	}
	for _, text := range texts {
		if !strings.Contains(*m.ErrorMessage, text) {
			b.t.Errorf("%q does not say %q", *m.ErrorMessage, text)
		}
	}
	if strings.Contains(*m.ErrorMessage, b.state) {
		b.t.Errorf("%q shows a path of the server", *m.ErrorMessage)
	}
	if files, err := b.LoadManifestFiles(b.t.Context(), m.ManifestID, 0, 10); err != nil || len(files) != 0 {
		b.t.Errorf("a failed manifest lists %d files (%v)", len(files), err)
	}
}

// files reads a whole file list, page by page.
func (b *bench) files(id string) (list []transfer.ManifestFile) {
	b.t.Helper()
	for {
		page, err := b.LoadManifestFiles(b.t.Context(), id, int64(len(list)), 700)
		b.must(err)
		if len(page) == 0 {
			return list
		}
		list = append(list, page...)
	}
}

// events lists the queued events, oldest first.
func (b *bench) events() []triggers.Run {
	b.t.Helper()
	runs, more, err := b.db.Runs().Runs(b.t.Context(), triggers.Filter{Limit: 1000})
	b.must(err)
	if more {
		b.t.Fatal("more events than the test can see")
	}
	for i, j := 0, len(runs)-1; i < j; i, j = i+1, j-1 {
		runs[i], runs[j] = runs[j], runs[i]
	}
	return runs
}

// queued lists the parameters of the queued occurrences of event, oldest first.
func (b *bench) queued(event string) (parameters []string) {
	b.t.Helper()
	for _, r := range b.events() {
		if r.Event == event {
			parameters = append(parameters, string(r.Parameters))
		}
	}
	return parameters
}

// destination makes a destination of alice on loopback.
func (b *bench) destination(port int) transfer.Destination {
	b.t.Helper()
	d, _, err := b.CreateDestination(b.t.Context(), by("alice"), transfer.DestinationParams{Address: "127.0.0.1", Port: &port})
	b.must(err)
	return d
}

// become changes the state of a transfer, step by step.
func (b *bench) become(transferID string, states ...transfer.Status) {
	b.t.Helper()
	for _, s := range states {
		_, err := b.Change(b.t.Context(), transferID, func(x *transfer.Transfer) error { x.Status = s; return nil })
		b.must(err)
	}
}

// transfer makes a transfer of one small file.
func (b *bench) transfer() transfer.Transfer {
	b.t.Helper()
	b.put("one.txt")
	m := b.complete(map[string]string{"/one.txt": "/one.txt"})
	x, err := b.CreateTransfer(b.t.Context(), api.Caller{User: "alice", RequestID: "req", Depth: 2}, transfer.Params{
		ManifestID: m.ManifestID, DestinationID: b.destination(9000).DestinationID, Username: "bob", Priority: 100,
	}, remotePassword)
	b.must(err)
	return x
}

// by returns the caller of a user.
func by(user string) api.Caller { return api.Caller{User: user} }

// accountOf returns the user alice with a sandbox.
func accountOf(sandbox string) account.User {
	return account.User{Name: "alice", Sandbox: sandbox, CreateTime: api.Now()}
}

const remotePassword = "correct horse battery staple"

func TestNewRefusesWhatIsMissing(t *testing.T) {
	b := newBench(t)
	for name, change := range map[string]func(*transfer.Options){
		"store":    func(o *transfer.Options) { o.Store = nil },
		"emitter":  func(o *transfer.Options) { o.Emitter = nil },
		"accounts": func(o *transfer.Options) { o.Accounts = nil },
		"key":      func(o *transfer.Options) { o.SealKey = [32]byte{} },
	} {
		o := b.options
		change(&o)
		if _, err := transfer.New(o); err == nil {
			t.Errorf("an engine was made without %s", name)
		}
	}
}

func TestStoppedEngineCanBeServedAgain(t *testing.T) {
	b := newBench(t)
	b.stop()
	b.stop()
	b.start()
	b.put("a")
	b.complete(map[string]string{"/a": "/a"})
}

var errTest = errors.New("a test made this")
