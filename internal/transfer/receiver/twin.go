package receiver

import (
	"errors"
	"io/fs"
	"os"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
)

// maxCandidates is how many entries of one fold are compared with a file.
const maxCandidates = 1000

// refuse skips an entry whose name exists, or returns an error if conflict is
// fail or another entry of the transfer has the name.
func (p *placer) refuse(f *transfer.RecvFile, final, rel, conflict string) error {
	there, err := p.root.Lstat(rel)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return diskError(err, api.Quote(final))
	}
	switch twin, err := p.twin(f, rel, there); {
	case err != nil:
		return err
	case twin != "":
		return oneFile(final, twin)
	case there == nil: // taken by an entry that is not saved yet
		return oneFile(final, final)
	case conflict == "skip":
		f.Skipped = true
		return nil
	}
	return failf(nil, "%s exists already at the receiver", api.Quote(final))
}

// twin returns the final path of an earlier entry of the transfer that is the
// file there, at rel; "" if none is.
func (p *placer) twin(f *transfer.RecvFile, rel string, there fs.FileInfo) (string, error) {
	if there == nil {
		return "", nil
	}
	candidates, err := p.candidates(fold(rel))
	if err != nil {
		return "", err
	}
	for _, c := range candidates {
		if c.Index >= f.Index || c.Skipped {
			continue
		}
		other, err := p.root.Lstat(c.Real)
		if isExhausted(err) {
			return "", err
		}
		if c.Real == rel || err == nil && os.SameFile(there, other) {
			return c.Final, nil
		}
	}
	if len(candidates) == maxCandidates {
		return "", failf(nil, "more than %d names of the transfer differ from %s only in case or Unicode form", maxCandidates, api.Quote("/"+rel))
	}
	return "", nil
}

// oneFile says that two entries of the transfer would be one file.
func oneFile(final, other string) error {
	if final == other {
		return failf(nil, "two entries of the transfer are %s at the receiver: give them different names, or send with conflict rename", api.Quote(final))
	}
	return failf(nil, "the receiver's file system takes %s and %s of the transfer for one file: give them different names, or send with conflict rename",
		api.Quote(other), api.Quote(final))
}

// isTwin reports whether an earlier entry of the transfer is the file there, and
// sets err if so.
func (p *placer) isTwin(f *transfer.RecvFile, there fs.FileInfo, err *error) bool {
	twin, failed := p.twin(f, f.Real, there)
	switch {
	case failed != nil:
		*err = failed
	case twin != "":
		*err = oneFile(f.Final, twin)
	}
	return *err != nil
}
