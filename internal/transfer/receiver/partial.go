package receiver

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"

	"jetstream/internal/transfer"
	"jetstream/internal/transfer/digest"
)

// savedHashes says that the hashes of the first blocks of an entry are saved
// beside its part file.
type savedHashes struct{ index, blocks int64 }

// hashesName returns the name of the file with the hashes of an entry's blocks:
// a header of package digest, and one hash after the other.
func hashesName(index int64) string { return strconv.FormatInt(index, 10) + ".hashes" }

// blockAlgorithm returns the algorithm of the hashes of blocks. That of the digest
// has the advantage that they are computed anyway.
func (r *Receiver) blockAlgorithm() digest.Algorithm {
	if r.o.Digest.InOrder() {
		return digest.XXH3
	}
	return r.o.Digest
}

// saveHashes saves the hashes of the first n bytes of an entry, as far as they are
// not saved. It returns how many bytes have hashes now, and the digest of those of
// them that fill no block.
func (s *session) saveHashes(index int64, sum *digest.File, file *os.File, n int64) (covered int64, rest string, err error) {
	saved := &s.in.saved
	if saved.index != index {
		*saved = savedHashes{index: index}
	}
	blocks := n / digest.BlockSize
	if err := sum.Fill(file, blocks); err != nil {
		return 0, "", err
	}
	hashes := sum.Hashes(saved.blocks, blocks)
	if covered = saved.blocks + int64(len(hashes)/sum.HashSize()); covered < blocks {
		return 0, "", nil // it is too large to be hashed, or a block is being written again
	}
	if rest, err = restOf(file, covered*digest.BlockSize, n, nil); err != nil {
		return 0, "", err
	}
	if saved.blocks == 0 || len(hashes) > 0 {
		if err := s.writeHashes(index, saved.blocks, sum, hashes); err != nil {
			return 0, "", err
		}
		saved.blocks = covered
	}
	return n, rest, nil
}

// writeHashes writes hashes of blocks behind those of the first ones.
func (s *session) writeHashes(index, first int64, sum *digest.File, hashes []byte) error {
	flags := os.O_WRONLY
	if first == 0 {
		flags |= os.O_CREATE | os.O_TRUNC
	}
	f, err := s.staging.OpenFile(hashesName(index), flags, 0o600)
	if err != nil {
		return err
	}
	offset := digest.HeaderSize + first*int64(sum.HashSize())
	if first == 0 {
		offset, hashes = 0, append(sum.Header(), hashes...)
	}
	_, err = f.WriteAt(hashes, offset)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// restOf returns the digest of the bytes of a file between two offsets that lie less
// than a block apart, which it adds to sum unless that is nil.
func restOf(file io.ReaderAt, from, to int64, sum *digest.File) (string, error) {
	if from == to {
		return "", nil
	}
	rest := make([]byte, to-from)
	if _, err := file.ReadAt(rest, from); err != nil {
		return "", err
	}
	if sum != nil {
		sum.Add(from, rest)
	}
	return digest.Bytes(digest.XXH3, rest), nil
}

// checkPartial verifies what is kept of the entry that comes next, unless its part
// file is as this process has left it. Of what was altered it keeps what was on disk
// at the last checkpoint, up to the first block that differs.
func (s *session) checkPartial(ctx context.Context, recorded int64) error {
	kept := &s.in.partial
	before := kept.Offset
	if kept.left != nil {
		if sameState(kept.left, lstat(s.staging, partName(recorded))) {
			return nil
		}
		*kept = partial{}
		s.in.resumeAt(s.row, recorded)
	}
	ctx, stop := s.outlive(ctx)
	defer stop()
	err := s.recoverPartial(ctx, kept)
	if err != nil {
		*kept, s.in.saved = partial{}, savedHashes{}
		return err
	}
	s.in.saved = savedHashes{recorded, kept.Offset / digest.BlockSize}
	if kept.sum == nil {
		s.in.saved.blocks = 0
	}
	if kept.Offset < before {
		s.r.log.Warn("a part file is not what was written: what differs is sent again", "transferId", s.in.id,
			"file", path.Join(s.row.Root, s.row.Staging, partName(recorded)), "kept", kept.Offset, "bytes", before-kept.Offset)
	}
	return nil
}

// recoverPartial reduces what is kept to what agrees with the hashes that were
// saved. It fails if that could not be found out.
func (s *session) recoverPartial(ctx context.Context, kept *partial) error {
	at, index, offset := kept.Checkpoint, kept.Index, kept.Offset
	*kept = partial{Checkpoint: transfer.Checkpoint{Index: index}}
	if offset == 0 {
		return nil
	}
	part, info, err := openRegular(s.staging, partName(index), 0o600)
	if err != nil {
		return passing(err)
	}
	defer part.Close()
	hashes, _, err := openRegular(s.staging, hashesName(index), 0o600)
	if err != nil {
		return passing(err)
	}
	defer hashes.Close()
	saved, header := bufio.NewReader(hashes), make([]byte, digest.HeaderSize)
	if _, err := io.ReadFull(saved, header); err != nil {
		return nil
	}
	sum, err := digest.NewFrom(header)
	if err != nil || sum.Size() <= offset {
		return nil
	}
	r := &reader{ctx: ctx, from: part}
	agreed := digest.BlockSize * sum.Recover(r, saved, offset/digest.BlockSize)
	if offset-agreed < digest.BlockSize {
		if rest, err := restOf(r, agreed, offset, sum); err == nil && rest == at.Rest {
			agreed = offset
		}
	}
	if err := errors.Join(context.Cause(ctx), passing(r.err)); err != nil {
		return err
	}
	if sum.Algorithm() != s.r.blockAlgorithm() { // the server was given another one
		sum = nil
	}
	at.Offset = agreed
	*kept = partial{Checkpoint: at, sum: sum, left: info}
	return nil
}

// reader reads a file until ctx ends, and remembers the first error.
type reader struct {
	ctx  context.Context //nolint:containedctx // io.ReaderAt takes none
	from io.ReaderAt
	err  error
}

// ReadAt implements io.ReaderAt.
func (r *reader) ReadAt(b []byte, offset int64) (n int, err error) {
	if err = context.Cause(r.ctx); err == nil {
		n, err = r.from.ReadAt(b, offset)
	}
	if r.err == nil {
		r.err = err
	}
	return n, err
}

// passing returns an error that says nothing of a file, nil for others.
func passing(err error) error {
	if isExhausted(err) {
		return err
	}
	return nil
}

// outlive returns a context that does not end with the connection, but with the
// transfer or the server: what is read need not be read once more because a
// connection breaks.
func (s *session) outlive(ctx context.Context) (context.Context, func()) {
	return outlive(s.outer, ctx)
}

func outlive(outer, ctx context.Context) (context.Context, func()) {
	longer, cancel := context.WithCancelCause(outer)
	stop := context.AfterFunc(ctx, func() {
		if e, ended := errors.AsType[*endError](context.Cause(ctx)); ended {
			cancel(e)
		}
	})
	return longer, func() { stop(); cancel(nil) }
}

// lstat returns the state of a file, nil if it cannot be seen.
func lstat(dir *os.Root, name string) fs.FileInfo {
	info, err := dir.Lstat(name)
	if err != nil {
		return nil
	}
	return info
}

// sameState reports whether a file was not written to between a and b, as far as
// its times tell.
func sameState(a, b fs.FileInfo) bool {
	return b != nil && os.SameFile(a, b) && a.Mode().IsRegular() && b.Mode().IsRegular() && a.Size() == b.Size() &&
		a.ModTime().Equal(b.ModTime()) && changeTime(a) == changeTime(b)
}

// openRegular opens a file for reading that must be no link. If its mode does not
// let it, it has mode meanwhile.
func openRegular(dir *os.Root, name string, mode os.FileMode) (*os.File, fs.FileInfo, error) {
	named, err := dir.Lstat(name)
	if err != nil {
		return nil, nil, err
	}
	if !named.Mode().IsRegular() {
		return nil, nil, errNotRegular
	}
	f, err := dir.Open(name)
	if errors.Is(err, fs.ErrPermission) {
		if err = dir.Chmod(name, 0o600); err == nil {
			f, err = dir.Open(name)
		}
		if err == nil {
			err = f.Chmod(mode)
		}
	}
	if err != nil {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
		return nil, nil, err
	}
	opened, err := f.Stat()
	if err == nil && !os.SameFile(named, opened) {
		err = errNotRegular
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, opened, nil
}

var errNotRegular = errors.New("it is not the file that was written")
