package receiver

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
)

// remover removes what was planned. It keeps the directory of the last name open, since
// the next one is mostly in it too.
type remover struct {
	*finisher
	dir  *os.Root // nil: none is open
	rel  string   // of dir
	last string   // why the first removal that failed has failed
}

// remove removes what is planned, batch by batch, each durably before it is recorded.
// It goes on with what another process has planned.
func (f *finisher) remove(ctx context.Context) error {
	r := &remover{finisher: f}
	defer r.close()
	others, err := f.others(ctx)
	if err != nil {
		return err
	}
	total, failed := int64(0), int64(0)
	for from := int64(0); ; {
		list, err := f.r.o.Store.Removals(ctx, f.in.key, f.in.id, from, placeBatch)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			break
		}
		from = list[len(list)-1].Index + 1
		left, err := r.batch(ctx, list, others)
		if err != nil {
			return err
		}
		total, failed = total+int64(len(list)), failed+left
	}
	if failed > 0 {
		return failf(nil, "all files were placed, but the mirror could not remove %d of %s; the first: %s", failed, entries(total), r.last)
	}
	return nil
}

// batch removes those of a list that are planned, and returns how many could not be.
func (r *remover) batch(ctx context.Context, list []transfer.Removal, others []transfer.RecvTransfer) (failed int64, err error) {
	r.close() // what was opened may have been moved
	var rels []string
	for _, e := range list {
		rels = append(rels, e.Real)
	}
	foreign, err := r.foreign(ctx, others, rels)
	if err != nil {
		return 0, err
	}
	gone, changed := int64(0), []transfer.Removal(nil)
	for i := range list {
		e := &list[i]
		if e.State != transfer.RemovalPlanned {
			continue
		}
		if ctx.Err() != nil {
			break
		}
		state := transfer.RemovalKept
		if !foreign[i] {
			if state, err = r.one(e); isExhausted(err) {
				break
			}
		}
		if err != nil {
			if failed++; r.last == "" {
				r.last = api.Quote(e.Final) + ": " + cmp.Or(api.SystemReason(err), err.Error())
			}
			err = nil
			continue // it is tried again if this is interrupted
		}
		if e.State = state; state == transfer.RemovalDone && !e.Dir {
			gone++
		}
		changed = append(changed, *e)
	}
	if syncErr := r.placer.sync(); syncErr != nil {
		return failed, syncErr
	}
	if len(changed) == 0 {
		return failed, errors.Join(err, ctx.Err())
	}
	saveErr := r.saveRemovals(context.WithoutCancel(ctx), changed, func(tx transfer.RecvTx) error {
		row, err := r.in.stillOpen(tx)
		if err != nil {
			return err
		}
		row.RemovedFiles += gone
		r.row = row
		return tx.SaveRecvTransfer(row)
	})
	return failed, errors.Join(err, saveErr, ctx.Err())
}

// one removes what is planned, if it is still there and the same. It returns what has
// become of it.
func (r *remover) one(e *transfer.Removal) (state int, err error) {
	parent, name := path.Dir(e.Real), path.Base(e.Real)
	if err := r.open(parent); errors.Is(err, fs.ErrNotExist) {
		return transfer.RemovalDone, nil // a process that was killed has removed both
	} else if errors.Is(err, errExchanged) {
		return transfer.RemovalKept, nil
	} else if err != nil {
		return 0, err
	}
	r.placer.observe("remove", e.Real)
	info, err := r.dir.Lstat(name)
	if err == nil && !unchanged(e, info) {
		return transfer.RemovalKept, nil
	}
	if err == nil {
		err = r.dir.Remove(name)
	}
	switch {
	case err == nil:
		r.placer.observe("gone", e.Real)
	case errors.Is(err, fs.ErrNotExist):
	case e.Dir && r.filled(name):
		return transfer.RemovalKept, nil
	default:
		return 0, err
	}
	if e.Dir {
		delete(r.placer.dirty, e.Real)
	}
	r.placer.addDirty(parent)
	return transfer.RemovalDone, nil
}

// filled reports whether something is in a directory.
func (r *remover) filled(name string) bool {
	dir, err := openChild(r.dir, name)
	if err != nil {
		return false
	}
	defer dir.Close()
	f, err := dir.Open(".")
	if err != nil {
		return false
	}
	defer f.Close()
	names, _ := f.Readdirnames(1)
	return len(names) > 0
}

// open opens the directory rel, unless it is open.
func (r *remover) open(rel string) error {
	if r.dir != nil && r.rel == rel {
		return nil
	}
	r.close()
	dir, err := r.placer.root.openDirectly(rel, nil)
	if err != nil {
		return err
	}
	r.dir, r.rel = dir, rel
	return nil
}

func (r *remover) close() {
	if r.dir != nil {
		_ = r.dir.Close()
		r.dir = nil
	}
}
