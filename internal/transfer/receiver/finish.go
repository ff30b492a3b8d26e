package receiver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
)

// placeBatch is how many entries get their names between two saves.
const placeBatch = 256

// finish gives every recorded entry its final name and completes the transfer.
// It may be interrupted anywhere, also by kill -9, and goes on where it was:
// names are saved before they are given, and what is done is found out from
// the disk. The caller has claimed the transfer. An *ended error ends it; any
// other leaves it for the next time.
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
	f := &finisher{r: r, in: in, row: row}
	err = f.place(ctx)
	if e, ok := errors.AsType[*ended](err); ok {
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
	return r.end(ctx, in, transfer.StatusComplete, "")
}

// finisher is one run of finish.
type finisher struct {
	r      *Receiver
	in     *incoming
	row    *transfer.RecvTransfer
	placer *placer

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
	staging, err := openStaging(box.Root, f.row.Staging)
	if errors.Is(err, fs.ErrNotExist) {
		return failf(err, "the part files of the transfer in %s were removed; send it again", api.Quote(f.row.DestinationPath))
	}
	if err != nil {
		return diskError(err, "the directory for part files in "+api.Quote(f.row.DestinationPath))
	}
	defer staging.Close()
	f.placer = newPlacer(box, f.row)
	f.placer.observe = f.r.observe
	if f.row.Conflict == "fail" && f.row.OnError == "stop" {
		if err := f.checkFree(ctx); err != nil {
			return err
		}
	}
	batch := make([]transfer.RecvFile, 0, placeBatch)
	for e, err := range f.r.o.Store.RecvFiles(ctx, f.in.key, f.in.id, 0) {
		if err != nil {
			return err
		}
		f.total++
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

// checkFree looks, before any file is placed, whether one would be in the way.
func (f *finisher) checkFree(ctx context.Context) error {
	for e, err := range f.r.o.Store.RecvFiles(ctx, f.in.key, f.in.id, 0) {
		if err != nil {
			return err
		}
		if e.Final != "" { // begun before a restart
			return nil
		}
		if e.Skipped || e.EmptyDir {
			continue
		}
		there, err := f.placer.exists(f.placer.path(e.Name))
		if err != nil {
			return err
		}
		if there {
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

// batch chooses names, saves them, gives them, makes that durable and saves
// that it is done.
func (f *finisher) batch(ctx context.Context, batch []transfer.RecvFile) error {
	if len(batch) == 0 {
		return nil
	}
	taken := map[string]struct{}{}
	for i := range batch {
		e := &batch[i]
		if e.Final != "" {
			taken[e.Real] = struct{}{}
			for dir := path.Dir(e.Real); dir != "."; {
				dir = path.Dir(dir)
				f.placer.inherit(dir)
			}
			continue
		}
		if err := f.tolerate(e, f.placer.choose(e, f.row.Conflict, taken)); err != nil {
			return err
		}
	}
	if err := f.save(ctx, batch); err != nil {
		return err
	}
	for i := range batch {
		if err := ctx.Err(); err != nil {
			return err
		}
		if e := &batch[i]; !e.Skipped {
			if err := f.tolerate(e, f.put(ctx, e, taken)); err != nil {
				return err
			}
		}
	}
	if err := f.placer.sync(); err != nil {
		return err
	}
	return f.save(ctx, batch)
}

// put places one entry, choosing anew when somebody took its name meanwhile.
func (f *finisher) put(ctx context.Context, e *transfer.RecvFile, taken map[string]struct{}) error {
	for range 100 {
		err := f.placer.put(e, f.row.Conflict)
		if err == nil {
			f.placer.observe("placed", e.Real)
			e.Placed = true
			return nil
		}
		if !errors.Is(err, errTaken) {
			return err
		}
		if err := f.placer.choose(e, f.row.Conflict, taken); err != nil {
			return err
		}
		if e.Skipped {
			e.Final, e.Real = "", ""
			return nil
		}
		if err := f.save(ctx, []transfer.RecvFile{*e}); err != nil {
			return err
		}
	}
	return failf(nil, "no free name for %s was found at the receiver", api.Quote(e.Final))
}

// tolerate records an entry's failure and lets the rest go on, if the sender
// said so and it is not the disk that is full.
func (f *finisher) tolerate(e *transfer.RecvFile, err error) error {
	end, ok := errors.AsType[*ended](err)
	if err == nil || !ok || f.row.OnError != "continue" || isFull(err) {
		return err
	}
	e.Skipped, e.Error, e.Final, e.Real = true, end.message, "", ""
	f.count(end.message)
	return nil
}

func (f *finisher) save(ctx context.Context, batch []transfer.RecvFile) error {
	return f.r.o.Store.Update(ctx, func(tx transfer.RecvTx) error {
		return tx.SaveRecvFiles(f.in.key, f.in.id, batch)
	})
}
