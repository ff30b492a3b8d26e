package receiver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
)

// placeBatch is how many entries get their final names between two saves.
const placeBatch = 512

// finish gives all recorded entries their final names and completes the
// transfer. It can be interrupted at any time, also by kill -9, and continued
// by another call: names are saved before files are renamed, and what was
// renamed is seen on disk. The caller must have acquired the transfer. If
// finish fails, the transfer stays unfinished.
func (r *Receiver) finish(ctx context.Context, in *incoming) (transfer.RecvTransfer, error) {
	row, err := r.row(ctx, in.key, in.id)
	if err != nil {
		return transfer.RecvTransfer{}, err
	}
	if row == nil {
		return transfer.RecvTransfer{}, fmt.Errorf("received transfer %s is not in the database", in.id)
	}
	if !row.Processing {
		return *row, nil
	}
	f := &finisher{ctx: ctx, r: r, in: in, row: row}
	err = f.place(ctx)
	if e, ok := errors.AsType[*endError](err); ok {
		if e.cause != nil {
			r.log.Warn("a transfer ends at the receiver", "transferId", in.id, "message", e.message, "error", e.cause)
		}
		return r.end(context.WithoutCancel(ctx), in, e.status, e.message)
	}
	if err != nil {
		return *row, err
	}
	if err := ctx.Err(); err != nil {
		return *row, err
	}
	if f.failed > 0 {
		return r.end(ctx, in, transfer.StatusError, fmt.Sprintf("%d of %d entries failed; the first: %s", f.failed, f.total, f.firstError))
	}
	return r.end(ctx, in, transfer.StatusComplete, f.row.ErrorMessage)
}

// finisher is the state of one finish.
type finisher struct {
	ctx    context.Context //nolint:containedctx // of the call of finish
	r      *Receiver
	in     *incoming
	row    *transfer.RecvTransfer
	placer *placer
	// placing is the batch that is being placed.
	placing []transfer.RecvFile

	total, failed int64
	firstError    string
}

func (f *finisher) place(ctx context.Context) error {
	if err := f.r.entitled(ctx, f.row); err != nil {
		return err
	}
	box, err := f.r.openBox(ctx, f.row)
	if err != nil {
		return err
	}
	defer box.Close()
	staging, err := openStaging(tree{box.Root}, f.row.Staging)
	if errors.Is(err, fs.ErrNotExist) {
		return failf(err, "the part files of the transfer in %s were removed; send it again", api.Quote(f.row.DestinationPath))
	}
	if err != nil {
		return diskError(err, "the directory for part files in "+api.Quote(f.row.DestinationPath))
	}
	defer staging.Close()
	f.placer = newPlacer(box, f.row)
	defer f.placer.close()
	f.placer.observe, f.placer.modes = f.r.observe, f.r.o.Modes
	f.placer.candidates = func(fold int64) ([]transfer.RecvFile, error) {
		return f.r.o.Store.Folded(ctx, f.in.key, f.in.id, fold, maxCandidates)
	}
	f.placer.save = func(e transfer.RecvFile) error {
		for i := range f.placing {
			if f.placing[i].Index == e.Index {
				f.placing[i].Mode = e.Mode
				e = f.placing[i]
			}
		}
		return f.save(ctx, []transfer.RecvFile{e})
	}
	err = f.placeAll(ctx)
	if err == nil && f.failed == 0 {
		err = f.mirror(ctx)
	}
	if err != nil {
		if _, ok := errors.AsType[*endError](err); ok {
			_ = f.settleAll(allDirs) // what was placed gets its rights all the same
		}
		return err
	}
	return f.settleAll(allDirs)
}

func (f *finisher) placeAll(ctx context.Context) error {
	if f.row.Conflict == transfer.ConflictFail && f.row.OnError == "stop" {
		if err := f.checkFree(ctx); err != nil {
			return err
		}
	}
	batch := make([]transfer.RecvFile, 0, placeBatch)
	for e, err := range f.r.o.Store.RecvFiles(ctx, f.in.key, f.in.id, 0) {
		if err != nil {
			return err
		}
		if !e.Dir || e.Error != "" {
			f.total++
		}
		if e.Error != "" {
			f.count(e.Error)
		}
		if e.Placed || e.Skipped {
			continue
		}
		if batch = append(batch, e); len(batch) == placeBatch {
			if err := f.batch(ctx, batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	return f.batch(ctx, batch)
}

// checkFree returns an error if a file exists already, before any file is
// placed.
func (f *finisher) checkFree(ctx context.Context) error {
	for e, err := range f.r.o.Store.RecvFiles(ctx, f.in.key, f.in.id, 0) {
		if err != nil {
			return err
		}
		if e.Final != "" { // names were chosen before a restart
			return nil
		}
		if e.Skipped || e.Dir {
			continue
		}
		there, err := f.placer.look(f.placer.path(e.Name))
		if err != nil {
			return err
		}
		if there != nil {
			return failf(nil, "%s exists already at the receiver", api.Quote(f.placer.path(e.Name)))
		}
	}
	return nil
}

func (f *finisher) count(message string) {
	if f.failed++; f.failed == 1 {
		f.firstError = message
	}
}

// batch chooses and saves the names of entries, renames the files, makes that
// durable, and saves that it is done.
func (f *finisher) batch(ctx context.Context, batch []transfer.RecvFile) error {
	if len(batch) == 0 {
		return nil
	}
	f.placing, f.placer.again = batch, map[int64]bool{}
	taken := map[string]struct{}{}
	var chosen []transfer.RecvFile
	for i := range batch {
		e := &batch[i]
		if e.Final != "" {
			taken[e.Real] = struct{}{}
			f.placer.again[e.Index] = true
			continue
		}
		if err := f.tolerate(e, f.placer.choose(e, placing(f.row), taken)); err != nil {
			return err
		}
		chosen = append(chosen, *e)
	}
	if len(chosen) > 0 {
		if err := f.save(ctx, chosen); err != nil {
			return err
		}
	}
	for i := range batch {
		if err := ctx.Err(); err != nil {
			return err
		}
		if e := &batch[i]; !e.Skipped {
			if err := f.tolerate(e, f.put(ctx, e, taken)); err != nil {
				if _, ok := errors.AsType[*endError](err); ok {
					_ = f.save(ctx, batch) // what is placed by now
				}
				return err
			}
		}
	}
	if err := f.placer.sync(); err != nil {
		return err
	}
	return f.savePlaced(ctx, batch)
}

// savePlaced saves a batch of which everything that was not skipped is placed.
func (f *finisher) savePlaced(ctx context.Context, batch []transfer.RecvFile) error {
	changed := slices.DeleteFunc(slices.Clone(batch), func(e transfer.RecvFile) bool { return !e.Dir && !e.Skipped })
	return f.saveAnd(ctx, changed, func(tx transfer.RecvTx) error {
		return tx.PlaceRecvFiles(f.in.key, f.in.id, batch[0].Index, batch[len(batch)-1].Index)
	})
}

// put places one entry. If its name has come into existence meanwhile, it
// chooses another one.
func (f *finisher) put(ctx context.Context, e *transfer.RecvFile, taken map[string]struct{}) error {
	for range 100 {
		err := f.placer.put(e, placing(f.row))
		if err == nil {
			f.placer.observe("placed", e.Real)
			e.Placed = true
			return nil
		}
		if !errors.Is(err, errTaken) {
			return err
		}
		if err := f.placer.choose(e, placing(f.row), taken); err != nil {
			return err
		}
		if e.Skipped {
			e.Final, e.Real, e.Fold = "", "", 0
			return nil
		}
		if err := f.save(ctx, []transfer.RecvFile{*e}); err != nil {
			return err
		}
	}
	return failf(nil, "no free name for %s was found at the receiver", api.Quote(e.Final))
}

// placing returns what happens when a file is placed whose name exists: which of
// them are kept was decided when they were announced.
func placing(row *transfer.RecvTransfer) string {
	if transfer.Replaces(row.Conflict) {
		return transfer.ConflictOverwrite
	}
	return row.Conflict
}

// tolerate records the failure of an entry and returns nil if onError is
// continue and the disk is not full; else it returns err.
func (f *finisher) tolerate(e *transfer.RecvFile, err error) error {
	end, ok := errors.AsType[*endError](err)
	if err == nil || !ok || f.row.OnError != "continue" || isFull(err) {
		return err
	}
	e.Skipped, e.Error, e.Final, e.Real, e.Made, e.Fold = true, end.message, "", "", false, 0
	f.count(end.message)
	return nil
}

// save saves entries, and in the transfer what the file system has not kept.
func (f *finisher) save(ctx context.Context, batch []transfer.RecvFile) error {
	return f.saveAnd(ctx, batch, func(transfer.RecvTx) error { return nil })
}

func (f *finisher) saveAnd(ctx context.Context, batch []transfer.RecvFile, and func(transfer.RecvTx) error) error {
	return f.r.o.Store.Update(ctx, func(tx transfer.RecvTx) error {
		if f.row.ErrorMessage == "" && f.placer.unkept != "" {
			row, err := f.in.stillOpen(tx)
			if err != nil {
				return err
			}
			row.ErrorMessage = f.placer.unkept
			f.row = row
			if err := tx.SaveRecvTransfer(row); err != nil {
				return err
			}
		}
		return errors.Join(tx.SaveRecvFiles(f.in.key, f.in.id, batch), and(tx))
	})
}
