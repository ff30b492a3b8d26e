package transfer

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"

	"jetstream/internal/account"
	"jetstream/internal/api"
)

// deleteBatch is how many entries of a manifest are looked at between two saves of what
// was removed.
const deleteBatch = 500

// checkDeletable returns an error if the sources of a new transfer could not be removed
// anyway. Codes: invalid, and those of account.Service.Confined.
func (e *Engine) checkDeletable(ctx context.Context, caller api.Caller, p *Params) error {
	if !p.DeleteSource {
		return nil
	}
	if !tellsFiles {
		return invalidField("deleteSource", "system", "deleteSource is not possible on this server: its system does not tell whether a file is still the one that was sent")
	}
	m, err := e.Manifest(ctx, caller, p.ManifestID)
	if err != nil {
		return err
	}
	box, err := e.o.Accounts.Confined(ctx, m.Owner, m.Confined, account.Write)
	if err != nil {
		return err
	}
	return box.Close()
}

// SaveSent saves in which state sources of a transfer were read.
func (e *Engine) SaveSent(ctx context.Context, t *Transfer, list []SentSource) error {
	return e.o.Store.UpdateNoSync(ctx, func(tx Tx) error { return tx.SaveSentSources(t.Seq, list) })
}

// DropSent forgets what SaveSent has saved of the entries from an index on, and returns
// that of this one, nil if there is none.
func (e *Engine) DropSent(ctx context.Context, t *Transfer, from int64) (first *SentSource, err error) {
	for more := true; more; {
		// On disk before anything is sent: a record of a former session must not come back.
		err := e.o.Store.Update(ctx, func(tx Tx) (err error) {
			list, err := tx.SentSources(t.Seq, from, from)
			if err != nil {
				return err
			}
			if len(list) > 0 {
				first = &list[0]
			}
			more, err = tx.DropSentSources(t.Seq, from, purgeBatch)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return first, nil
}

// serveDeletions removes the sources of transfers with DeletingSources, one transfer
// after the other, until ctx ends.
func (e *Engine) serveDeletions(ctx context.Context) {
	pause := retryFirst
	for ctx.Err() == nil {
		t, err := e.o.Store.DeletingSources(ctx)
		if err == nil && t != nil {
			err = e.deleteSources(ctx, t)
		}
		switch {
		case ctx.Err() != nil:
		case err != nil:
			e.o.Log.Error("sources cannot be removed; trying again", "error", err)
			sleep(ctx, pause)
			pause = min(2*pause, retryMost)
		case t == nil:
			select {
			case <-e.deleteWake:
			case <-ctx.Done():
			}
			fallthrough
		default:
			pause = retryFirst
		}
	}
}

// deleteSources removes the sources of a transfer that has ended, if it is complete. An
// error says why it must be tried again; what was done by then is saved.
func (e *Engine) deleteSources(ctx context.Context, t *Transfer) error {
	for t.DeletingSources && t.Status == StatusComplete && !t.Deleted {
		next, err := e.deleteSome(ctx, t)
		if err != nil && permanent(err) { // what is left stays
			why := api.ErrorOf(err).Message
			next, err = e.Change(ctx, t.TransferID, func(t *Transfer) error {
				t.keep(t.TotalFiles-t.SourcesDeleted-t.SourcesKept, why)
				t.DeletingSources = false
				return nil
			})
		}
		if err != nil {
			return ignoreGone(err)
		}
		if !next.DeletingSources {
			e.o.Log.Info("sources of a transfer were removed", "transferId", t.TransferID,
				"deleted", next.SourcesDeleted, "kept", next.SourcesKept, "first", next.SourcesMessage)
		}
		t = &next
	}
	if _, err := e.DropSent(ctx, t, 0); err != nil {
		return err
	}
	_, err := e.Change(ctx, t.TransferID, func(t *Transfer) error {
		t.DeletingSources = false
		return nil
	})
	return ignoreGone(err)
}

// ignoreGone returns err unless the transfer was removed meanwhile.
func ignoreGone(err error) error {
	if errors.Is(err, &api.Error{Code: api.CodeNotFound}) {
		return nil
	}
	return err
}

// permanent reports whether err stays when it is tried again.
func permanent(err error) bool {
	switch api.ErrorOf(err).Code {
	case api.CodeNotFound, api.CodeForbidden, api.CodeConflict, api.CodeInvalid:
		return true
	}
	return false
}

// keep counts sources that are not removed, for a reason.
func (t *Transfer) keep(n int64, why string) {
	if n > 0 && t.SourcesKept == 0 {
		t.SourcesMessage = why
	}
	t.SourcesKept += n
}

// deleteSome removes the sources of the next entries of the manifest.
func (e *Engine) deleteSome(ctx context.Context, t *Transfer) (Transfer, error) {
	if _, err := e.entitled(ctx, t.Owner); err != nil {
		return Transfer{}, err
	}
	m, err := e.o.Store.Manifest(ctx, t.ManifestID)
	if err != nil {
		return Transfer{}, err
	}
	if m.Owner != t.Owner { // a later user of the same name
		return Transfer{}, ownerRemoved(t.Owner)
	}
	files, err := e.LoadManifestFiles(ctx, t.ManifestID, t.SourcesNext, deleteBatch)
	if err != nil {
		return Transfer{}, err
	}
	sent := map[int64]FileState{}
	if len(files) > 0 {
		err := e.o.Store.UpdateNoSync(ctx, func(tx Tx) error {
			list, err := tx.SentSources(t.Seq, files[0].Index, files[len(files)-1].Index)
			for _, s := range list {
				sent[s.Index] = s.FileState
			}
			return err
		})
		if err != nil {
			return Transfer{}, err
		}
	}
	box, err := e.o.Accounts.Confined(ctx, t.Owner, m.Confined, account.Write)
	if err != nil {
		return Transfer{}, err
	}
	defer box.Close()
	d := deleter{box: box}
	defer d.close()
	var sum Transfer // what becomes of these
	next := t.SourcesNext
	for _, f := range files {
		if ctx.Err() != nil {
			break
		}
		next = f.Index + 1
		if f.Dir {
			continue
		}
		was, known := sent[f.Index]
		if why := d.delete(f, was, known, t.Conflict); why != "" {
			sum.keep(1, why)
		} else {
			sum.SourcesDeleted++
		}
	}
	return e.Change(context.WithoutCancel(ctx), t.TransferID, func(t *Transfer) error {
		t.SourcesNext = next
		t.SourcesDeleted += sum.SourcesDeleted
		t.keep(sum.SourcesKept, sum.SourcesMessage)
		t.DeletingSources = len(files) > 0
		return nil
	})
}

// deleter removes sources one after the other. It keeps the directory of the last one
// open.
type deleter struct {
	box  *account.Sandbox
	path string   // of dir in the owner's API
	dir  *os.Root // nil: none is open
	err  error    // why not
}

func (d *deleter) close() {
	if d.dir != nil {
		_ = d.dir.Close()
		d.dir = nil
	}
}

// delete removes the source of an entry that was in a known state when it was read, and
// returns why not. One that is gone counts as removed: it was, before the server was
// restarted.
func (d *deleter) delete(f ManifestFile, was FileState, known bool, conflict string) (why string) {
	name := api.Quote(f.Source)
	switch {
	case !known && MaySkip(conflict):
		return name + " was not sent since the receiver has a file of that name; or it was sent before this server was restarted, or while it was being changed"
	case !known:
		return name + " was sent before this server was restarted, or while it was being changed, so that it is not known whether it is what was sent"
	}
	dir, base := path.Split(f.Source)
	if d.path != dir {
		d.close()
		d.path = dir
		d.dir, d.err = d.box.OpenDir(dir)
	}
	err := d.err
	if err == nil {
		err = d.remove(base, was)
	}
	switch {
	case err == nil, errors.Is(err, fs.ErrNotExist):
		return ""
	case errors.Is(err, errStateChanged):
		return name + " has changed since it was sent"
	case errors.Is(err, account.ErrLink):
		return name + " is reached by a link"
	case errors.Is(err, fs.ErrPermission):
		return name + " may not be removed by this server"
	}
	return name + " cannot be removed: " + api.SystemReason(err)
}

// errStateChanged reports that a file is not in the state in which it was read.
var errStateChanged = errors.New("the file has changed since it was sent")

// remove removes a file of the open directory.
func (d *deleter) remove(name string, was FileState) error {
	fi, err := d.dir.Lstat(name)
	if err != nil {
		return err
	}
	if fi.Mode()&fs.ModeSymlink != 0 {
		return account.ErrLink
	}
	if now, ok := StateOf(fi); !ok || !fi.Mode().IsRegular() || now != was {
		return errStateChanged
	}
	return d.dir.Remove(name)
}
