package receiver

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"jetstream/internal/account"
	"jetstream/internal/api"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/digest"
)

// verifiers is how many recorded files are read at a time.
const verifiers = 4

// verifier compares the recorded files of a transfer that have no final name yet
// with their digests.
type verifier struct {
	ctx     context.Context //nolint:containedctx // of the call of verify
	row     *transfer.RecvTransfer
	staging *os.Root

	mu     sync.Mutex // held while placer is used
	placer *placer

	bad *transfer.RecvFile // the first one that was altered
}

// verify reads, once in a process, what a former one has recorded of a transfer. If
// a file was altered or removed since, it forgets that one and those behind it, so
// that they are sent again. It returns the row after that.
func (r *Receiver) verify(ctx context.Context, in *incoming, row *transfer.RecvTransfer, box *account.Sandbox) (*transfer.RecvTransfer, error) {
	if in.verified {
		return row, nil
	}
	staging, err := openStaging(tree{box.Root}, row.Staging)
	if err != nil { // which is said where it is used
		return row, nil
	}
	defer staging.Close()
	v := &verifier{ctx: ctx, row: row, staging: staging, placer: newPlacer(box, row)}
	if err := v.run(r.o.Store.RecvFiles(ctx, in.key, in.id, 0)); err != nil {
		return nil, err
	}
	if v.bad != nil {
		if row, err = r.rewind(ctx, in, v.bad, row.BytesReceived); err != nil {
			return nil, err
		}
		if err := v.discardBehind(v.bad.Index); err != nil {
			return nil, err
		}
	}
	in.verified = true
	return row, nil
}

// verifyFinishing verifies a transfer that a former process was finishing, and
// reports whether it still is to be finished. outer ends when the server does, ctx when
// a connection takes the transfer over.
func (r *Receiver) verifyFinishing(outer, ctx context.Context, in *incoming) (bool, error) {
	row, err := r.row(ctx, in.key, in.id)
	if err != nil || row == nil || !row.Finishing {
		return false, err
	}
	box, err := r.openBox(ctx, row)
	if err != nil {
		return true, nil // finish says so
	}
	defer box.Close()
	verifying, stop := outlive(outer, ctx)
	defer stop()
	row, err = r.verify(verifying, in, row, box)
	return err == nil && row.Finishing, err
}

// rewind forgets the recorded entries from one on.
func (r *Receiver) rewind(ctx context.Context, in *incoming, from *transfer.RecvFile, before int64) (row *transfer.RecvTransfer, err error) {
	err = r.o.Store.Update(ctx, func(tx transfer.RecvTx) error {
		if row, err = in.stillOpen(tx); err != nil {
			return err
		}
		row.Finishing = false
		files, bytes, grown, err := tx.DropRecvFiles(in.key, in.id, from.Index)
		if err != nil {
			return err
		}
		row.FilesReceived, row.BytesReceived = files, bytes
		row.TotalSize, row.Grown = row.TotalSize-row.Grown+grown, grown
		return tx.SaveRecvTransfer(row)
	})
	if err != nil {
		return nil, err
	}
	r.log.Warn("a received file is not what was recorded: it is sent again, with those behind it", "transferId", in.id,
		"file", api.Quote(from.Name), "entry", from.Index, "bytes", before-row.BytesReceived)
	return row, nil
}

// discardBehind removes the part files of entries behind one, which are sent again, so
// that they do not take the room for that.
func (v *verifier) discardBehind(index int64) error {
	dir, err := v.staging.Open(".")
	if err != nil {
		return diskError(err, "the directory for part files")
	}
	defer dir.Close()
	for {
		names, err := dir.Readdirnames(placeBatch)
		for _, name := range names {
			number, _, _ := strings.Cut(name, ".")
			if n, err := strconv.ParseInt(number, 10, 64); err == nil && n > index {
				if err := v.staging.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
					return diskError(err, "the part file "+api.Quote(name))
				}
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return diskError(err, "the directory for part files")
		}
	}
}

// run sets bad to the first file that was altered.
func (v *verifier) run(files func(func(transfer.RecvFile, error) bool)) error {
	var g errgroup.Group
	g.SetLimit(verifiers)
	var failed error
	for f, err := range files {
		if err != nil {
			failed = err
			break
		}
		if f.Dir || f.Skipped || f.Placed {
			continue
		}
		v.mu.Lock()
		found := v.bad != nil
		v.mu.Unlock()
		if found || v.ctx.Err() != nil {
			break
		}
		g.Go(func() error {
			intact, err := v.intact(&f)
			if err == nil && !intact {
				v.mu.Lock()
				defer v.mu.Unlock()
				if v.bad == nil || f.Index < v.bad.Index {
					v.bad = &f
				}
			}
			return err
		})
	}
	return errors.Join(g.Wait(), failed, context.Cause(v.ctx))
}

// intact reports whether a file holds what was received, or has its final name.
func (v *verifier) intact(f *transfer.RecvFile) (bool, error) {
	part, info, err := openRegular(v.staging, partName(f.Index), os.FileMode(f.Mode))
	if errors.Is(err, fs.ErrNotExist) {
		return v.placed(f), nil
	}
	if err != nil {
		return false, passing(err)
	}
	defer part.Close()
	if info.Mode().Perm() != os.FileMode(f.Mode) { // a former process was killed while it read
		_ = part.Chmod(os.FileMode(f.Mode))
	}
	if info.Size() == f.Size {
		name, want, ok := strings.Cut(f.Digest, ":")
		if !ok {
			return true, nil
		}
		if alg, err := digest.Parse(name); err == nil {
			r := &reader{ctx: v.ctx, from: part}
			if got, err := digest.New(alg, f.Size).Finish(r); err == nil && got == want {
				return true, nil
			}
			if err := errors.Join(context.Cause(v.ctx), passing(r.err)); err != nil {
				return false, err
			}
		}
	}
	return v.linked(f, info)
}

// placed reports whether a file without a part file is one that must not be sent
// again: it has its final name, or may have had it.
func (v *verifier) placed(f *transfer.RecvFile) bool {
	if !v.row.Finishing || f.Real == "" {
		return false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return placing(v.row) != transfer.ConflictOverwrite || v.placer.checkPlaced(f) == nil
}

// linked reports whether an altered part file has served already: its copy has the
// final name. If it has that itself, that name is removed.
func (v *verifier) linked(f *transfer.RecvFile, part fs.FileInfo) (bool, error) {
	if !v.row.Finishing || f.Real == "" {
		return false, nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	there, err := v.placer.root.Lstat(f.Real)
	if err != nil {
		return false, passing(err)
	}
	if os.SameFile(part, there) {
		return false, diskError(v.placer.remove(f.Real), api.Quote(f.Final))
	}
	return v.placer.copied(f, there), nil
}
