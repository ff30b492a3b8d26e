package transfer_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"jetstream/internal/account"
	"jetstream/internal/api"
	"jetstream/internal/transfer"
)

func TestCreatedTransferIsPendingAndWakesTheSender(t *testing.T) {
	b, ctx := newBench(t), t.Context()
	x := b.transfer()
	if x.Status != transfer.StatusPending || !x.Processing || x.Owner != "alice" || x.TotalFiles != 1 || x.TotalBytes != 18 ||
		x.DestinationAddress != "127.0.0.1" || x.DestinationPort != 9000 || x.DestinationPath != "/" || x.Conflict != "overwrite" ||
		x.OnError != "stop" || x.RequestTime == 0 || x.SnapshotTime == 0 || x.EndTime != 0 || x.UserData == nil {
		t.Errorf("made %+v", x)
	}
	select {
	case <-b.Wake():
	default:
		t.Error("the sender was not woken")
	}
	got, err := b.LoadTransfer(ctx, x.TransferID)
	b.must(err)
	if got.RequestID != "req" || got.Depth != 2 {
		t.Errorf("the cause was not kept: %+v", got)
	}
	password, err := b.Password(&got)
	if b.must(err); password != remotePassword {
		t.Errorf("the password came back as %q", password)
	}
}

func TestBadTransfersAreRefused(t *testing.T) {
	b, ctx := newBench(t), t.Context()
	x := b.transfer()
	good := transfer.Params{ManifestID: x.ManifestID, DestinationID: x.DestinationID, Username: "bob"}
	for name, c := range map[string]struct {
		change   func(*transfer.Params)
		password string
		code     api.Code
		says     string
	}{
		"manifest":      {func(p *transfer.Params) { p.ManifestID = "none" }, "p", api.CodeNotFound, "none"},
		"destination":   {func(p *transfer.Params) { p.DestinationID = "none" }, "p", api.CodeNotFound, "none"},
		"user":          {func(p *transfer.Params) { p.Username = "-bob" }, "p", api.CodeInvalid, "-bob"},
		"no password":   {func(*transfer.Params) {}, "", api.CodeInvalid, "password"},
		"long password": {func(*transfer.Params) {}, strings.Repeat("p", 1025), api.CodeInvalid, "1024"},
		"path up":       {func(p *transfer.Params) { p.DestinationPath = "/a/../../b" }, "p", api.CodeInvalid, ".."},
		"path with NUL": {func(p *transfer.Params) { p.DestinationPath = "a\x00b" }, "p", api.CodeInvalid, "NUL"},
		"data":          {func(p *transfer.Params) { p.UserData = map[string]string{"k": strings.Repeat("v", 20000)} }, "p", api.CodeInvalid, "userData"},
		"mirror that moves": {func(p *transfer.Params) { p.Mirror, p.DeleteSource = true, true }, "p", api.CodeInvalid,
			"mirror is not for deleteSource"},
		"mirror that renames": {func(p *transfer.Params) { p.Mirror, p.Conflict = true, transfer.ConflictRename }, "p", api.CodeInvalid,
			"mirror is not for the conflict rename"},
	} {
		p := good
		c.change(&p)
		_, err := b.CreateTransfer(ctx, by("alice"), p, c.password)
		t.Log(name)
		b.refused(err, c.code, c.says)
	}
	failed := b.manifest(map[string]string{"/gone": "/g"})
	p := good
	p.ManifestID = failed.ManifestID
	_, err := b.CreateTransfer(ctx, by("alice"), p, "p")
	b.refused(err, api.CodeConflict, failed.ManifestID, "failed")

	b.stop() // nobody walks now
	pending, err := b.CreateManifest(ctx, by("alice"), transfer.ManifestParams{FileMappings: map[string]string{"/one.txt": "/x"}})
	b.must(err)
	p.ManifestID = pending.ManifestID
	_, err = b.CreateTransfer(ctx, by("alice"), p, "p")
	b.refused(err, api.CodeConflict, "manifest "+pending.ManifestID+" is still pending; wait for it with send.waitForManifest")

	p = good
	p.DestinationPath = "in//coming/./"
	y, err := b.CreateTransfer(ctx, by("alice"), p, "p")
	if b.must(err); y.DestinationPath != "/in/coming" {
		t.Errorf("destinationPath became %q", y.DestinationPath)
	}
}

func TestPasswordIsSealedInTheDatabase(t *testing.T) {
	b := newBench(t)
	x := b.transfer()
	b.stop()
	files, err := filepath.Glob(filepath.Join(b.state, "*"))
	b.must(err)
	if len(files) == 0 {
		t.Fatal("there is no database to look into")
	}
	idSeen := false
	for _, f := range files {
		if fi, err := os.Stat(f); err != nil || fi.IsDir() {
			continue
		}
		content, err := os.ReadFile(f)
		b.must(err)
		idSeen = idSeen || bytes.Contains(content, []byte(x.TransferID))
		if bytes.Contains(content, []byte(remotePassword)) {
			t.Errorf("%s holds the password", filepath.Base(f))
		}
	}
	if !idSeen {
		t.Error("the transfer was not found in the files either: the search proves nothing")
	}
}

func TestSealedPasswordCannotBeTamperedWith(t *testing.T) {
	b := newBench(t)
	x := b.transfer()
	for i := range x.SealedPassword {
		y := x
		y.SealedPassword = slices.Clone(x.SealedPassword)
		y.SealedPassword[i] ^= 1
		_, err := b.Password(&y)
		b.refused(err, api.CodeConflict, x.TransferID)
	}
	y := x
	y.TransferID = api.NewID()
	_, err := b.Password(&y)
	b.refused(err, api.CodeConflict, y.TransferID)
	y = x
	y.SealedPassword = nil
	_, err = b.Password(&y)
	b.refused(err, api.CodeConflict, "no password of the receiver's user any more")
	b.stop()
	b.options.SealKey[0]++
	b.start()
	_, err = b.Password(&x)
	b.refused(err, api.CodeConflict, "key file")
}

func TestOnlyPermittedStepsAreMade(t *testing.T) {
	b, ctx := newBench(t), t.Context()
	const (
		pending, active, suspended  = transfer.StatusPending, transfer.StatusActive, transfer.StatusSuspended
		cancelled, complete, failed = transfer.StatusCancelled, transfer.StatusComplete, transfer.StatusError
	)
	allowed := map[transfer.Status][]transfer.Status{
		pending:   {active, suspended, cancelled, failed},
		active:    {pending, suspended, cancelled, complete, failed},
		suspended: {pending, cancelled, failed},
		cancelled: {}, complete: {}, failed: {},
	}
	x := b.transfer()
	for from, next := range allowed {
		for _, to := range []transfer.Status{pending, active, suspended, transfer.StatusReceiving, cancelled, complete, failed, "", "nonsense"} {
			b.must(b.options.Store.Update(ctx, func(tx transfer.Tx) error {
				y := x
				y.Status, y.Processing = from, from.Processing()
				return tx.SaveTransfer(&y)
			}))
			got, err := b.Change(ctx, x.TransferID, func(y *transfer.Transfer) error {
				y.Status = to
				return nil
			})
			saved, loadErr := b.LoadTransfer(ctx, x.TransferID)
			b.must(loadErr)
			switch {
			case to == from:
				if err != nil {
					t.Errorf("%s stays %s: %v", from, to, err)
				}
			case !slices.Contains(next, to):
				b.refused(err, api.CodeConflict, x.TransferID, string(from))
				if saved.Status != from {
					t.Errorf("a refused step from %s to %s was saved as %s", from, to, saved.Status)
				}
			case err != nil || got.Status != to || saved.Status != to || saved.Processing != to.Processing():
				t.Errorf("from %s to %s: %v, saved as %s", from, to, err, saved.Status)
			case (saved.SealedPassword == nil) != !to.Processing() || (saved.EndTime != 0) != !to.Processing():
				t.Errorf("in %s: password kept %v, end time %d", to, saved.SealedPassword != nil, saved.EndTime)
			case to == active && saved.StartTime == 0:
				t.Errorf("active without a start time")
			}
		}
	}
}

func TestCancelledTransferNotifiesItsReceiver(t *testing.T) {
	b, ctx := newBench(t), t.Context()
	x := b.transfer()
	<-b.Wake()
	changes, stop := b.Watch(x.TransferID)
	defer stop()
	got, err := b.CancelTransfer(ctx, by("alice"), x.TransferID)
	b.must(err)
	if got.Status != transfer.StatusCancelled || got.Processing || !got.TellPeer || got.SealedPassword != nil || got.EndTime == 0 {
		t.Errorf("cancelled: %+v", got)
	}
	<-changes
	<-b.Wake()
	_, err = b.CancelTransfer(ctx, by("alice"), x.TransferID)
	b.refused(err, api.CodeConflict, "already ended", "cancelled")
	_, err = b.CancelTransfer(ctx, by("alice"), "none")
	b.refused(err, api.CodeNotFound, "none")
	// Its receiver must still be notified; then there is nothing more to do.
	list, err := b.Runnable(ctx, nil, 10)
	if b.must(err); len(list) != 1 || list[0].TransferID != x.TransferID {
		t.Errorf("runnable: %v", list)
	}
	_, err = b.Change(ctx, x.TransferID, func(y *transfer.Transfer) error {
		y.TellPeer = false
		return nil
	})
	b.must(err)
	if list, err = b.Runnable(ctx, nil, 10); err != nil || len(list) != 0 {
		t.Errorf("runnable after the receiver was told: %v, %v", list, err)
	}
}

func TestDeletedTransferIsHiddenUntilItsReceiverIsNotified(t *testing.T) {
	b, ctx := newBench(t), t.Context()
	gone := func(id string) {
		t.Helper()
		_, err := b.LoadTransfer(ctx, id)
		b.refused(err, api.CodeNotFound, id)
		b.refused(b.DeleteTransfer(ctx, by("alice"), id, true), api.CodeNotFound, id)
		_, err = b.WaitForTransfer(ctx, by("alice"), id, time.Minute)
		b.refused(err, api.CodeNotFound, id)
		list, _, err := b.Transfers(ctx, transfer.Page{Limit: 10})
		if b.must(err); len(list) != 0 {
			t.Errorf("the list has %v", list)
		}
		totals, err := b.db.TransferTotals(ctx)
		if b.must(err); len(totals) != 0 {
			t.Errorf("the totals are %v", totals)
		}
	}
	kept := func(id string) bool {
		t.Helper()
		err := b.options.Store.Update(ctx, func(tx transfer.Tx) error { _, err := tx.Transfer(id); return err })
		if err != nil && api.ErrorOf(err).Code != api.CodeNotFound {
			t.Fatal(err)
		}
		return err == nil
	}
	told := func(y *transfer.Transfer) error { y.TellPeer = false; return nil }

	x := b.transfer()
	b.refused(b.DeleteTransfer(ctx, by("alice"), x.TransferID, false), api.CodeConflict, x.TransferID, "it is pending", "force")
	b.must(b.DeleteTransfer(ctx, by("alice"), x.TransferID, true))
	gone(x.TransferID)
	list, err := b.Runnable(ctx, nil, 10)
	if b.must(err); len(list) != 1 || list[0].Status != transfer.StatusCancelled || !list[0].TellPeer {
		t.Fatalf("its receiver is not told: %+v", list)
	}
	_, err = b.Change(ctx, x.TransferID, told)
	b.must(err)
	if list, err = b.Runnable(ctx, nil, 10); err != nil || len(list) != 0 || kept(x.TransferID) {
		t.Errorf("once its receiver knows it is still there: %v (%v)", list, err)
	}

	x = b.transfer()
	_, err = b.CancelTransfer(ctx, by("alice"), x.TransferID)
	b.must(err)
	_, err = b.Change(ctx, x.TransferID, told)
	b.must(err)
	b.must(b.DeleteTransfer(ctx, by("alice"), x.TransferID, false))
	gone(x.TransferID)
	if kept(x.TransferID) {
		t.Error("nobody is to be told, and it is still there")
	}
}

func TestChangeUndoesWhatFails(t *testing.T) {
	b, ctx := newBench(t), t.Context()
	x := b.transfer()
	_, err := b.Change(ctx, x.TransferID, func(y *transfer.Transfer) error {
		y.Status, y.ErrorMessage = transfer.StatusError, "never saved"
		return errTest
	})
	if err == nil {
		t.Fatal("the error was lost")
	}
	if got, err := b.LoadTransfer(ctx, x.TransferID); err != nil || got.Status != transfer.StatusPending || got.ErrorMessage != "" {
		t.Errorf("saved %+v, %v", got, err)
	}
}

func TestRunnableByPriorityThenAge(t *testing.T) {
	b, ctx := newBench(t), t.Context()
	first := b.transfer()
	var ids []string
	for _, priority := range []int{100, 50, 100, 7} {
		x, err := b.CreateTransfer(ctx, by("alice"), transfer.Params{
			ManifestID: first.ManifestID, DestinationID: first.DestinationID, Username: "bob", Priority: priority,
		}, "p")
		b.must(err)
		ids = append(ids, x.TransferID)
	}
	want := []string{ids[3], ids[1], first.TransferID, ids[0], ids[2]}
	list, err := b.Runnable(ctx, []string{ids[1]}, 3)
	b.must(err)
	var got []string
	for _, x := range list {
		got = append(got, x.TransferID)
	}
	if !slices.Equal(got, []string{want[0], want[2], want[3]}) {
		t.Errorf("runnable %q of %q", got, want)
	}
}

func TestProgressIsVisibleBeforeItIsSaved(t *testing.T) {
	b, ctx := newBench(t), t.Context()
	x := b.transfer()
	activate := func(y *transfer.Transfer) error {
		y.Status, y.TotalBytes = transfer.StatusActive, 1_000_000
		return nil
	}
	_, err := b.Change(ctx, x.TransferID, activate)
	b.must(err)
	b.Progress(x.TransferID, transfer.Progress{Files: 0, Bytes: 250_000, Rate: 1000})
	got, err := b.LoadTransfer(ctx, x.TransferID)
	b.must(err)
	if got.BytesSent != 250_000 || got.Rate != 1000 || got.EtaSeconds == nil || *got.EtaSeconds != 6 || got.SnapshotTime == 0 {
		t.Errorf("live: %+v, eta %v", got, got.EtaSeconds)
	}
	list, _, err := b.Transfers(ctx, transfer.Page{Limit: 10})
	if b.must(err); list[0].BytesSent != 250_000 || list[0].EtaSeconds == nil {
		t.Errorf("in the list: %+v", list[0])
	}
	b.Progress(x.TransferID, transfer.Progress{Files: 1, Bytes: 500_000, Rate: 1000})
	b.stop()
	b.start() // as after a restart: only what was saved is known
	if got, err = b.LoadTransfer(ctx, x.TransferID); err != nil || got.BytesSent != 500_000 || got.FilesSent != 1 || got.Rate != 0 || got.EtaSeconds != nil {
		t.Errorf("after a restart: %+v, %v", got, err)
	}
	b.Progress(x.TransferID, transfer.Progress{Files: 1, Bytes: 1_000_000, Rate: 1000})
	_, err = b.Change(ctx, x.TransferID, func(y *transfer.Transfer) error {
		y.Status = transfer.StatusComplete
		return nil
	})
	b.must(err)
	b.Progress(x.TransferID, transfer.Progress{Files: 0, Bytes: 3, Rate: 9}) // too late
	if got, err = b.LoadTransfer(ctx, x.TransferID); err != nil || got.BytesSent != 1_000_000 || got.Rate != 0 || got.EtaSeconds != nil {
		t.Errorf("at the end: %+v, %v", got, err)
	}
}

func TestWaitReturnsAtTheEndOfTheTransferOrTimeout(t *testing.T) {
	b, ctx := newBench(t), t.Context()
	x := b.transfer()
	got, err := b.WaitForTransfer(ctx, by("alice"), x.TransferID, time.Millisecond)
	if b.must(err); !got.Processing {
		t.Errorf("a wait that was over gave %+v", got)
	}
	ended := make(chan transfer.Transfer, 1)
	go func() {
		y, _ := b.WaitForTransfer(ctx, by("alice"), x.TransferID, time.Minute)
		ended <- y
	}()
	_, err = b.CancelTransfer(ctx, by("alice"), x.TransferID)
	b.must(err)
	if y := <-ended; y.Status != transfer.StatusCancelled {
		t.Errorf("the wait gave %+v", y)
	}
	_, err = b.WaitForTransfer(ctx, by("alice"), "none", time.Minute)
	b.refused(err, api.CodeNotFound)
}

func TestSourcesOpenUnchangedFilesOnly(t *testing.T) {
	b, ctx := newBench(t), t.Context()
	x := b.transfer()
	f := b.files(x.ManifestID)[0]
	sources, err := b.Sources(ctx, &x)
	b.must(err)
	defer func() { b.must(sources.Close()) }()
	opener := sources.Opener()
	defer opener.Close()
	file, err := opener.Open(f)
	b.must(err)
	content := make([]byte, 100)
	n, err := file.Read(content)
	b.must(err)
	b.must(file.Close())
	if string(content[:n]) != "content of one.txt" {
		t.Errorf("read %q", content[:n])
	}
	path := filepath.Join(b.box, "one.txt")
	refused := func(what string, code api.Code, says string) {
		t.Helper()
		_, err := opener.Open(f)
		t.Log(what)
		b.refused(err, code, "/one.txt", says)
	}
	b.must(os.WriteFile(path, []byte("content of two.txt"), 0o644))
	when := time.Unix(1, 0)
	b.must(os.Chtimes(path, when, when))
	refused("another time", api.CodeConflict, "has changed since")
	b.must(os.WriteFile(path, []byte("longer than it was before"), 0o644))
	b.must(os.Chtimes(path, time.Unix(0, f.ModTime), time.Unix(0, f.ModTime)))
	refused("another size", api.CodeConflict, "has changed since")
	b.must(os.Remove(path))
	refused("gone", api.CodeNotFound, "does not exist")
	b.must(os.Mkdir(path, 0o755))
	refused("a directory", api.CodeConflict, "has changed since")
	b.must(os.Remove(path))
	b.must(os.Symlink("/etc/passwd", path))
	refused("a planted link", api.CodeForbidden, "outside the sandbox")
}

// A transfer whose connection broke starts again, but fires its events once.
func TestTransferFiresEachEventOnce(t *testing.T) {
	b := newBench(t)
	b.script("send.transferStarted")
	b.script("send.transferComplete")
	x := b.transfer()
	b.become(x.TransferID, transfer.StatusActive, transfer.StatusPending, transfer.StatusActive, transfer.StatusComplete)
	for _, event := range []string{"send.transferStarted", "send.transferComplete"} {
		if got := b.queued(event); len(got) != 1 || !strings.Contains(got[0], x.TransferID) {
			t.Errorf("%s: queued %q", event, got)
		}
	}
}

// From a sandbox that may only be read nothing can be removed.
func TestDeleteSourceNeedsASandboxToWrite(t *testing.T) {
	b, ctx := newBench(t), t.Context()
	b.put("file")
	top := filepath.Dir(b.box) // also of the trigger directory
	_, err := b.accounts.Update(ctx, "alice", account.Change{Sandbox: &top})
	b.must(err)
	p := transfer.Params{
		ManifestID: b.complete(map[string]string{"/box": "/box"}).ManifestID, DestinationID: b.destination(9000).DestinationID, Username: "bob",
	}
	_, err = b.CreateTransfer(ctx, by("alice"), p, remotePassword)
	b.must(err)
	p.DeleteSource = true
	_, err = b.CreateTransfer(ctx, by("alice"), p, remotePassword)
	b.refused(err, api.CodeForbidden, "may only be read")
}

// When a transfer is tried again is shown as long as it waits.
func TestNextAttemptIsShownWhileItWaits(t *testing.T) {
	b, ctx := newBench(t), t.Context()
	x := b.transfer()
	at := time.Now().Add(time.Hour)
	b.NextAttempt(x.TransferID, at)
	_, err := b.Change(ctx, x.TransferID, func(t *transfer.Transfer) error { t.ErrorMessage = "nobody answers"; return nil })
	b.must(err)
	got, err := b.LoadTransfer(ctx, x.TransferID)
	if b.must(err); got.NextAttemptTime != api.TimeOf(at) {
		t.Errorf("a transfer that waits is tried at %v", got.NextAttemptTime)
	}
	if got, err = b.CancelTransfer(ctx, by("alice"), x.TransferID); err != nil || got.NextAttemptTime != 0 {
		t.Errorf("a cancelled transfer is tried at %v: %v", got.NextAttemptTime, err)
	}
}
