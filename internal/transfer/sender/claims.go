package sender

import (
	"context"
	"errors"
	"fmt"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/wire"
)

// within reports whether counts of a peer are possible for the transfer.
func (a *attempt) within(files, bytes int64) bool {
	total := a.total()
	return files >= 0 && files <= a.t.TotalFiles && bytes >= 0 && bytes-a.partial <= total && total <= maxTotalBytes
}

// maxTotalBytes is how many bytes a transfer may have.
const maxTotalBytes = 1 << 62

// total returns the bytes of all files, as they are now.
func (a *attempt) total() int64 { return a.t.TotalBytes - a.t.Grown + a.grown.Load() }

// checkResume checks that the receiver wants to continue at a place that there
// is in the manifest.
func (a *attempt) checkResume(ctx context.Context, r wire.Resume) error {
	a.grown.Store(r.Grown)
	a.resumed, a.partial = true, r.Offset
	if !a.within(r.Files, r.Bytes) {
		return a.broken("it claims to have %d files and %d bytes of %d and %d", r.Files, r.Bytes, a.t.TotalFiles, a.total())
	}
	if r.AnswersSkip != (transfer.MaySkip(a.t.Conflict) || a.t.OnError == "continue") {
		return a.broken("it wants to choose what is sent other than it was asked to")
	}
	if len(r.Session) != wire.SessionSize || r.Lanes < 1 || r.Lanes > wire.MaxLanes {
		return a.broken("it lets %d lanes join with a secret of %d bytes", r.Lanes, len(r.Session))
	}
	if r.Index == 0 && r.Offset == 0 {
		return nil
	}
	if r.Index < 0 || r.Offset < 0 {
		return a.broken("it wants to go on at entry %d, offset %d", r.Index, r.Offset)
	}
	// The entry before Index must exist, and Index itself if it is begun.
	files, err := a.s.o.Engine.LoadManifestFiles(ctx, a.t.ManifestID, max(r.Index-1, 0), 2)
	if errors.Is(err, &api.Error{Code: api.CodeNotFound}) {
		return nil // which is told when the files are read
	}
	if err != nil {
		return err
	}
	known, begun := r.Index == 0, r.Offset == 0
	for _, f := range files {
		known = known || f.Index == r.Index-1
		begun = begun || f.Index == r.Index && !f.Dir && r.Offset <= r.Size && r.Size <= maxTotalBytes
	}
	if !known || !begun {
		return a.broken("it wants to go on at entry %d, offset %d, which the manifest does not have", r.Index, r.Offset)
	}
	return nil
}

// broken says that the receiver has violated the protocol, and how.
func (a *attempt) broken(format string, args ...any) error {
	return failf(nil, true, "%s broke the transfer protocol: %s", a.to, fmt.Sprintf(format, args...))
}

// checkComplete checks that the totals of a transfer that the receiver calls
// complete are its own.
func (a *attempt) checkComplete(o wire.Outcome) error {
	if !a.resumed { // the receiver had everything before
		a.grown.Store(o.Grown)
	}
	total := a.total()
	if o.Grown == a.grown.Load() && a.within(o.Files, o.Bytes) && a.within(o.SkippedFiles, o.SkippedBytes) &&
		o.Files == a.t.TotalFiles-o.SkippedFiles && o.Bytes == total-o.SkippedBytes &&
		(o.SkippedFiles == 0 || transfer.MaySkip(a.t.Conflict)) {
		return nil
	}
	return failf(nil, false, "%s calls the transfer complete with %d files and %d bytes received and %d files and %d bytes skipped, but %d files and %d bytes were to be sent: it is not believed",
		a.to, o.Files, o.Bytes, o.SkippedFiles, o.SkippedBytes, a.t.TotalFiles, total)
}

// conclude saves the end of the transfer at the receiver.
func (a *attempt) conclude(ctx context.Context, o wire.Outcome) error {
	if o.Removed < 0 || !a.t.Mirror && o.Removed > 0 || o.Removed > a.t.MaxDelete {
		return a.broken("it claims to have removed %d files", o.Removed)
	}
	a.removed = o.Removed
	switch transfer.Status(o.Status) {
	case transfer.StatusComplete:
		if err := a.checkComplete(o); err != nil {
			return err
		}
	case transfer.StatusCancelled:
		return &finalError{status: transfer.StatusCancelled, message: fmt.Sprintf("%s: %s", a.to, wire.Clean(o.Message))}
	case transfer.StatusError:
		return failf(nil, false, "%s: %s", a.to, wire.Clean(o.Message))
	default:
		return failf(nil, false, "%s broke the transfer protocol: it answered the status %s", a.to, api.Quote(wire.Clean(o.Status)))
	}
	_, err := a.s.o.Engine.Change(ctx, a.t.TransferID, func(t *transfer.Transfer) error {
		if !t.Processing {
			t.TellPeer = false // it was complete before the cancellation
			return nil
		}
		t.Status, t.ErrorMessage = transfer.StatusComplete, ""
		if o.Message != "" { // what the receiver could not keep
			t.ErrorMessage = fmt.Sprintf("%s: %s", api.HostText(t.DestinationAddress), wire.Clean(o.Message))
		}
		t.FilesSent, t.BytesSent, t.BytesSaved = o.Files, o.Bytes, a.bytesSaved()
		t.RemovedFiles = o.Removed
		t.Regrow(o.Grown)
		return nil
	})
	return err
}
