package transfer

import (
	"context"
	"time"

	"jetstream/internal/api"
)

// Progress is the current progress of a transfer.
type Progress struct {
	// Files and Bytes are what the receiver has confirmed of the whole
	// transfer.
	Files, Bytes int64
	// UnchangedFiles and UnchangedBytes are what the receiver has said that it has
	// already.
	UnchangedFiles, UnchangedBytes int64
	// Saved is how many bytes compression has kept off the network.
	Saved int64
	// Grown is by how many bytes its files are larger than in the manifest.
	Grown int64
	// Rate is the current rate in kbit/s.
	Rate float64
}

// liveProgress keeps the Progress of a running transfer in memory, and when it was
// last saved and published.
type liveProgress struct {
	Progress
	taken     api.Time  // when Progress was called
	saved     time.Time // when it was last saved
	published time.Time // when a live entry was last published
}

// rateFor is for how long the rate of a transfer counts that has no newer progress.
const rateFor = 10 * time.Second

// saveTimeout bounds a save of the progress.
const saveTimeout = 10 * time.Second

// Progress sets the progress of a transfer. It is visible at once, and saved if
// Options.SaveEvery has passed since the last save. Failures to save it are
// only logged.
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
	show := now.Sub(l.published) >= ShowEvery && e.o.Stream.Followed(ProgressShown.Type)
	if show {
		l.published = now
	}
	if due {
		l.saved = now
	}
	e.mu.Unlock()
	if show {
		e.publishProgress(transferID)
	}
	if !due {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), saveTimeout)
	defer cancel()
	t := &Transfer{TransferID: transferID, FilesSent: p.Files, BytesSent: p.Bytes, BytesSaved: p.Saved, Grown: p.Grown}
	if err := e.o.Store.SaveProgress(ctx, t); err != nil {
		e.o.Log.Warn("progress of a transfer was not saved", "transferId", transferID, "error", err)
	}
}

// overlay sets the fields of a transfer that are only known in memory.
func (e *Engine) overlay(t *Transfer) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.overlayLocked(t, api.Now())
}

// overlayAll is overlay for a list.
func (e *Engine) overlayAll(list []Transfer) {
	now := api.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range list {
		e.overlayLocked(&list[i], now)
	}
}

// overlayLocked is overlay. mu is held.
func (e *Engine) overlayLocked(t *Transfer, now api.Time) {
	t.SnapshotTime, t.NextAttemptTime = now, 0
	if !t.Processing {
		delete(e.live, t.TransferID) // a sender may have reported once more after a cancel
		delete(e.attempts, t.TransferID)
		if t.Status == StatusComplete {
			t.FilesUnchanged, t.BytesUnchanged = t.TotalFiles-t.FilesSent, t.TotalBytes-t.BytesSent
		}
		return
	}
	if next := e.attempts[t.TransferID]; t.Status == StatusPending && t.ErrorMessage != "" && next > now {
		t.NextAttemptTime = next
	}
	l := e.live[t.TransferID]
	if l == nil {
		return
	}
	t.FilesSent, t.BytesSent, t.BytesSaved = l.Files, l.Bytes, l.Saved
	t.FilesUnchanged, t.BytesUnchanged = l.UnchangedFiles, l.UnchangedBytes
	t.Regrow(l.Grown)
	if t.Status != StatusActive {
		return
	}
	t.Rate, t.SnapshotTime = l.Rate, l.taken
	t.EtaSeconds = Eta(t.TotalBytes-t.BytesSent-t.BytesUnchanged, l.Rate)
}

// Rate returns the present rate of all transfers that are sent, in kbit/s.
func (e *Engine) Rate() (rate float64) {
	stale := api.TimeOf(time.Now().Add(-rateFor))
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, l := range e.live {
		if l.taken > stale {
			rate += l.Rate
		}
	}
	return rate
}

// Regrow sets Grown, and TotalBytes with it.
func (t *Transfer) Regrow(grown int64) {
	t.TotalBytes += grown - t.Grown
	t.Grown = grown
}

// forget removes the progress of a transfer that has ended.
func (e *Engine) forget(transferID string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.live, transferID)
	delete(e.attempts, transferID)
}

// NextAttempt notes when a transfer that waits is tried again.
func (e *Engine) NextAttempt(transferID string, at time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.attempts[transferID] = api.TimeOf(at)
}
