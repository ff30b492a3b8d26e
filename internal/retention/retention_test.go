package retention_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"jetstream/internal/account"
	"jetstream/internal/api"
	"jetstream/internal/retention"
	"jetstream/internal/store"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/receiver"
	"jetstream/internal/transfer/wire"
	"jetstream/triggers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ends are both ends of transfers on one database.
type ends struct {
	t        *testing.T
	db       *store.DB
	engine   *transfer.Engine
	receiver *receiver.Receiver
	*retention.Collector
}

func open(t *testing.T, dir string) *ends {
	t.Helper()
	h := &ends{t: t}
	var err error
	h.db, err = store.Open(t.Context(), dir)
	h.must(err)
	events, err := triggers.New(triggers.Options{Store: h.db.Runs()})
	h.must(err)
	accounts := account.New(h.db.Accounts(), account.Options{})
	id, err := wire.LoadIdentity(dir)
	h.must(err)
	h.engine, err = transfer.New(transfer.Options{Store: h.db.Transfers(), Emitter: events, Accounts: accounts, SealKey: id.SealKey()})
	h.must(err)
	h.receiver, err = receiver.New(receiver.Options{Store: h.db.Received(), Clients: h.db.Received(), Emitter: events, Accounts: accounts, Identity: id})
	h.must(err)
	h.Collector, err = retention.New(t.Context(), retention.Options{Sent: h.engine, Received: h.receiver, Metadata: h.db})
	h.must(err)
	return h
}

func (h *ends) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *ends) manifest(id string, age time.Duration, status transfer.Status) {
	h.t.Helper()
	h.must(h.db.Transfers().Update(h.t.Context(), func(tx transfer.Tx) error {
		m := transfer.Manifest{ManifestID: id, Status: status, CreateTime: ago(age), Owner: "alice"}
		if err := tx.SaveManifest(&m); err != nil {
			return err
		}
		_, err := tx.AddManifestFiles(id, []transfer.ManifestFile{{Source: "/a", Name: "/a"}})
		return err
	}))
}

func (h *ends) sent(id, manifest string, age time.Duration, status transfer.Status, tell bool) {
	h.t.Helper()
	x := transfer.Transfer{TransferID: id, Params: transfer.Params{ManifestID: manifest}, Status: status, Processing: status.Processing(), TellPeer: tell, Owner: "alice"}
	if !x.Processing {
		x.EndTime = ago(age)
	}
	h.must(h.db.Transfers().Update(h.t.Context(), func(tx transfer.Tx) error { return tx.SaveTransfer(&x) }))
}

func (h *ends) received(row transfer.RecvTransfer, files int) {
	h.t.Helper()
	row.SourcePublicKey, row.Username = "K", "bob"
	h.must(h.db.Received().Update(h.t.Context(), func(tx transfer.RecvTx) error {
		if err := tx.SaveRecvTransfer(&row); err != nil {
			return err
		}
		list := make([]transfer.RecvFile, files)
		for i := range list {
			list[i] = transfer.RecvFile{Index: int64(i), Name: "/f"}
		}
		return tx.SaveRecvFiles("K", row.TransferID, list)
	}))
}

func ago(d time.Duration) api.Time { return api.TimeOf(time.Now().Add(-d)) }

// left lists the remaining objects.
func (h *ends) left() (out string) {
	h.t.Helper()
	page := transfer.Page{Limit: 2000}
	sent, err := h.db.Transfers().Transfers(h.t.Context(), page)
	h.must(err)
	manifests, err := h.db.Transfers().Manifests(h.t.Context(), page)
	h.must(err)
	received, err := h.db.Received().RecvTransfers(h.t.Context(), page)
	h.must(err)
	for _, x := range sent {
		out += x.TransferID + " "
	}
	for _, m := range manifests {
		out += m.ManifestID + " "
	}
	for _, r := range received {
		out += r.TransferID + " "
	}
	return out
}

const old, young = 49 * time.Hour, 47 * time.Hour

func TestTransfersOfAbsentSendersAreEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, t.TempDir())
		defer func() { h.must(h.db.Close()) }()
		var err error
		h.Collector, err = retention.New(t.Context(), retention.Options{
			Sent: h.engine, Received: h.receiver, Metadata: h.db, AbandonedAfter: 7 * 24 * time.Hour,
		})
		h.must(err)
		h.received(transfer.RecvTransfer{TransferID: "r", Status: transfer.StatusReceiving, StartTime: ago(0), LastRecvTime: ago(0), Conflict: "overwrite"}, 1)
		time.Sleep(7*24*time.Hour - time.Second) //nolint:forbidigo // the bubble's clock
		if n, err := h.Run(t.Context()); n.Abandoned != 0 || err != nil {
			t.Errorf("after less than a week: %+v, %v", n, err)
		}
		time.Sleep(2 * time.Second) //nolint:forbidigo // the bubble's clock
		if n, err := h.Run(t.Context()); n.Abandoned != 1 || err != nil {
			t.Errorf("after more than a week: %+v, %v", n, err)
		}
	})
}

func TestOldUnusedObjectsAreRemoved(t *testing.T) {
	h := open(t, t.TempDir())
	defer func() { h.must(h.db.Close()) }()
	h.manifest("m-old", old, transfer.StatusComplete)
	h.manifest("m-failed", old, transfer.StatusError)
	h.manifest("m-walked", old, transfer.StatusPending)
	h.manifest("m-young", young, transfer.StatusComplete)
	h.manifest("m-used", old, transfer.StatusComplete)
	h.manifest("m-ended", old, transfer.StatusComplete) // its only transfer goes as well
	h.sent("x-old", "m-ended", old, transfer.StatusComplete, false)
	h.sent("x-failed", "m-young", old, transfer.StatusError, false)
	h.sent("x-young", "m-used", young, transfer.StatusComplete, false)
	h.sent("x-untold", "m-young", old, transfer.StatusCancelled, true)
	h.sent("x-waits", "m-used", old, transfer.StatusPending, false)
	h.received(transfer.RecvTransfer{TransferID: "r-old", Status: transfer.StatusComplete, StartTime: ago(old), EndTime: ago(old)}, 12_000)
	h.received(transfer.RecvTransfer{TransferID: "r-young", Status: transfer.StatusError, StartTime: ago(old), EndTime: ago(young)}, 1)
	h.received(transfer.RecvTransfer{TransferID: "r-parts", Status: transfer.StatusError, EndTime: ago(old), Staging: ".jetstream-x"}, 1)
	h.received(transfer.RecvTransfer{TransferID: "r-never", Status: transfer.StatusReceiving, StartTime: ago(old)}, 0)
	h.received(transfer.RecvTransfer{TransferID: "r-fresh", Status: transfer.StatusReceiving, StartTime: ago(young)}, 0)
	h.received(transfer.RecvTransfer{TransferID: "r-goes-on", Status: transfer.StatusReceiving, StartTime: ago(old), Conflict: "skip"}, 3)
	for i, status := range []triggers.Status{triggers.StatusQueued, triggers.StatusRunning, triggers.StatusSuccess} {
		id := fmt.Sprintf("r-run-%s", status)
		h.received(transfer.RecvTransfer{TransferID: id, Status: transfer.StatusComplete, EndTime: ago(old)}, 2)
		run := &triggers.Run{RunID: api.NewID(), Event: "recv.transferComplete", EventID: api.NewID(), Status: triggers.StatusQueued,
			Attempt: 1, Parameters: []byte("{}"), Subject: transfer.RecvSubject("K", id)}
		h.must(h.db.Runs().Update(t.Context(), func(tx triggers.Tx) error { return tx.InsertRun(run) }))
		if run.Status = status; i > 0 {
			if i == 2 {
				run.EndTime = api.Now()
			}
			h.must(h.db.Runs().Mark(t.Context(), run))
		}
	}

	got, err := h.Run(t.Context())
	if err != nil || got != (retention.Counts{Transfers: 2, Manifests: 3, ReceivedTransfers: 3}) {
		t.Errorf("%+v, %v", got, err)
	}
	const want = "x-waits x-untold x-young m-used m-young m-walked r-run-running r-run-queued r-goes-on r-fresh r-parts r-young "
	if left := h.left(); left != want {
		t.Errorf("left:\n%s\nwant:\n%s", left, want)
	}
	if entries, _, _, err := h.db.Received().RecvCount(t.Context(), "K", "r-run-queued"); err != nil || entries != 2 {
		t.Errorf("the file list of a waiting run has %d entries, %v", entries, err)
	}
	if got, err := h.Run(t.Context()); err != nil || got != (retention.Counts{}) {
		t.Errorf("again: %+v, %v", got, err)
	}
	// The entries are removed as well: the same id has none.
	h.received(transfer.RecvTransfer{TransferID: "r-old", Status: transfer.StatusReceiving, StartTime: api.Now()}, 1)
	if entries, _, _, err := h.db.Received().RecvCount(t.Context(), "K", "r-old"); err != nil || entries != 1 {
		t.Errorf("%d entries, %v", entries, err)
	}
	if state := h.State(); state.LastRunTime == 0 || state.Interval != 3600 || state.ObjectLifetime != 172800 {
		t.Errorf("%+v", state)
	}
}

func TestManyObjectsAreRemovedInBatches(t *testing.T) {
	h := open(t, t.TempDir())
	defer func() { h.must(h.db.Close()) }()
	for i := range 210 {
		h.manifest(fmt.Sprint("m", i), old, transfer.StatusComplete)
		h.sent(fmt.Sprint("x", i), fmt.Sprint("m", i), old, transfer.StatusComplete, false)
		h.received(transfer.RecvTransfer{TransferID: fmt.Sprint("r", i), Status: transfer.StatusComplete, EndTime: ago(old)}, 1)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := h.Run(ctx); !errors.Is(err, context.Canceled) || got != (retention.Counts{}) {
		t.Errorf("a caller who is gone: %+v, %v", got, err)
	}
	if got, err := h.Run(t.Context()); err != nil || got != (retention.Counts{Transfers: 210, Manifests: 210, ReceivedTransfers: 210}) {
		t.Errorf("%+v, %v", got, err)
	}
	if left := h.left(); left != "" {
		t.Errorf("left: %s", left)
	}
}

func TestSettingsAreKept(t *testing.T) {
	dir := t.TempDir()
	h := open(t, dir)
	h.sent("x", "m", old, transfer.StatusComplete, false)
	zero, day := int64(0), int64(86400)
	if s, err := h.Update(t.Context(), nil, &zero); err != nil || s.Interval != 3600 || s.ObjectLifetime != 0 {
		t.Errorf("%+v, %v", s, err)
	}
	if got, err := h.Run(t.Context()); err != nil || got != (retention.Counts{}) {
		t.Errorf("objects that are kept for ever: %+v, %v", got, err)
	}
	if _, err := h.Update(t.Context(), &day, &day); err != nil {
		t.Error(err)
	}
	h.must(h.db.Close())
	if _, err := h.Update(t.Context(), &zero, nil); err == nil || h.State().Interval != day {
		t.Errorf("what was not saved counts: %v, %+v", err, h.State())
	}
	h = open(t, dir)
	defer func() { h.must(h.db.Close()) }()
	if s := h.State(); s.Interval != day || s.ObjectLifetime != day || s.LastRunTime == 0 {
		t.Errorf("after a restart: %+v", s)
	}
	h.must(h.db.SetMeta(t.Context(), "garbageCollection", "{"))
	if _, err := retention.New(t.Context(), retention.Options{Sent: h.engine, Received: h.receiver, Metadata: h.db}); err == nil {
		t.Error("broken settings are taken")
	}
}

// runs counts the runs of a collector.
type runs struct {
	facts map[string]string
	at    chan time.Time
	fail  chan error
}

func (r *runs) Collect(_ context.Context, before api.Time) (int, error) {
	r.at <- before.Std()
	select {
	case err := <-r.fail:
		return 0, err
	default:
		return 0, nil
	}
}
func (r *runs) Abandon(context.Context, time.Duration) (int, error) { return 0, nil }

func (r *runs) Meta(_ context.Context, name string) (string, error) { return r.facts[name], nil }
func (r *runs) SetMeta(_ context.Context, name, value string) error {
	r.facts[name] = value
	return nil
}

type nothing struct{}

func (nothing) Collect(context.Context, api.Time) (int, int, error) { return 0, 0, nil }

func TestServeRunsAtTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &runs{facts: map[string]string{}, at: make(chan time.Time, 100), fail: make(chan error, 1)}
		begin := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		serve := func() *retention.Collector {
			c, err := retention.New(ctx, retention.Options{Sent: nothing{}, Received: r, Metadata: r})
			if err != nil {
				t.Fatal(err)
			}
			go func() { done <- c.Serve(ctx) }()
			return c
		}
		next := func(what string, after time.Duration, lifetime time.Duration) {
			t.Helper()
			before := <-r.at
			if now := time.Since(begin); now != after || !before.Equal(time.Now().Add(-lifetime)) {
				t.Errorf("%s: a run after %s removes what is from before %s", what, now, time.Since(before))
			}
		}
		c := serve()
		next("the first", 0, 48*time.Hour)
		next("hourly", time.Hour, 48*time.Hour)
		r.fail <- errors.New("the disk is full")
		next("one that fails", 2*time.Hour, 48*time.Hour)
		next("is tried again", 3*time.Hour, 48*time.Hour)
		ten, day, none := int64(600), int64(86400), int64(0)
		synctest.Wait()
		if _, err := c.Update(ctx, &ten, &day); err != nil {
			t.Error(err)
		}
		next("changed", 3*time.Hour+10*time.Minute, 24*time.Hour)
		synctest.Wait()
		if _, err := c.Update(ctx, &none, nil); err != nil {
			t.Error(err)
		}
		time.Sleep(100 * time.Hour) //nolint:forbidigo // the bubble's clock
		if len(r.at) > 0 {
			t.Error("it ran though it is off")
		}
		if _, err := c.Update(ctx, &ten, nil); err != nil {
			t.Error(err)
		}
		next("on again, overdue", 103*time.Hour+10*time.Minute, 24*time.Hour)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}

		// After a restart the interval continues; a run that was due is made up
		// for.
		ctx, cancel = context.WithCancel(t.Context())
		serve()
		next("after a restart", 103*time.Hour+20*time.Minute, 24*time.Hour)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		time.Sleep(time.Hour) //nolint:forbidigo // the bubble's clock
		ctx, cancel = context.WithCancel(t.Context())
		serve()
		next("after a long stop", 104*time.Hour+20*time.Minute, 24*time.Hour)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
