package transfer

import (
	"context"
	"time"

	"jetstream/internal/api"
)

// Progress is how far a transfer is at this moment.
type Progress struct {
	// Files and Bytes are what the receiver has confirmed, from the beginning
	// of the transfer.
	Files, Bytes int64
	// Rate is the present rate in kbit/s.
	Rate float64
}

// liveProgress is the Progress of a transfer that runs, and when it was taken
// and last saved.
type liveProgress struct {
	Progress
	taken api.Time
	saved time.Time
	shown time.Time // to those who follow the log
}

// saveTimeout bounds how long a sender waits for its progress to be saved.
const saveTimeout = 10 * time.Second

// Progress notes how far a transfer is. The numbers are shown at once and
// saved every Options.SaveEvery at most; a failure to save them is logged only.
func (e *Engine) Progress(transferID string, p Progress) {
	now := time.Now()
	e.mu.Lock()
	l := e.live[transferID]
	if l == nil {
		l = &liveProgress{saved: now}
		e.live[transferID] = l
	}
	l.Progress, l.taken = p, api.TimeOf(now)
	due := now.Sub(l.saved) >= e.o.SaveEvery
	show := now.Sub(l.shown) >= ShowEvery && e.o.Stream.Followed(ProgressShown.Type)
	if show {
		l.shown = now
	}
	if due {
		l.saved = now
	}
	e.mu.Unlock()
	if show {
		e.showProgress(transferID)
	}
	if !due {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), saveTimeout)
	defer cancel()
	t := &Transfer{TransferID: transferID, FilesSent: p.Files, BytesSent: p.Bytes}
	if err := e.o.Store.SaveProgress(ctx, t); err != nil {
		e.o.Log.Warn("progress of a transfer was not saved", "transferId", transferID, "error", err)
	}
}

// overlay fills in what is known only in memory: live numbers, and those that
// follow from them.
func (e *Engine) overlay(t *Transfer) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.overlayLocked(t, api.Now())
}

// overlayAll is overlay of a list.
func (e *Engine) overlayAll(list []Transfer) {
	now := api.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range list {
		e.overlayLocked(&list[i], now)
	}
}

// overlayLocked is overlay with mu held.
func (e *Engine) overlayLocked(t *Transfer, now api.Time) {
	t.SnapshotTime = now
	if !t.Processing {
		delete(e.live, t.TransferID) // a sender may have reported once more after a cancel
		return
	}
	l := e.live[t.TransferID]
	if l == nil {
		return
	}
	t.FilesSent, t.BytesSent = l.Files, l.Bytes
	if t.Status != StatusActive {
		return
	}
	t.Rate, t.SnapshotTime = l.Rate, l.taken
	t.EtaSeconds = Eta(t.TotalBytes-t.BytesSent, l.Rate)
}

// forget drops the live numbers of a transfer that has ended.
func (e *Engine) forget(transferID string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.live, transferID)
}
