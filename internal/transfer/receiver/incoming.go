package receiver

import (
	"context"
	"io/fs"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/digest"
	"jetstream/internal/transfer/pace"
)

// incoming is the state of an unfinished transfer that is kept in memory: the
// lock, the partly received file, and live numbers.
type incoming struct {
	key, id string // public key of the sending server, transfer id

	mu   sync.Mutex
	stop context.CancelCauseFunc // stops the holder of slot, or whoever waits for it
	slot chan struct{}           // holds a token while the transfer is worked on

	// These may only be used by the holder of slot and its session.
	partial  partial
	saved    savedHashes
	verified bool // what is recorded was verified, or was received by this process

	bytes     atomic.Int64 // verified and written, of the whole transfer
	files     atomic.Int64 // verified and recorded
	grown     atomic.Int64 // Grown of the transfer, with entries that are not recorded yet
	counted   atomic.Bool  // these are set
	lastRecv  atomic.Int64 // api.Time
	waits     atomic.Value // string: why it waits for free space, or empty
	published time.Time    // when progress was last published; for the holder of slot
	meter     pace.Meter
}

// partial says that the part file of an entry has its first Offset bytes.
type partial struct {
	transfer.Checkpoint
	sum  *digest.File // of them; nil if it is not known
	left fs.FileInfo  // the part file as this process has left it; nil if it has not
}

func (r *Receiver) incoming(key, id string) *incoming {
	subject := transfer.RecvSubject(key, id)
	r.mu.Lock()
	defer r.mu.Unlock()
	in := r.live[subject]
	if in == nil {
		in = &incoming{key: key, id: id, slot: make(chan struct{}, 1)}
		r.live[subject] = in
	}
	return in
}

// forget removes the state of a transfer that has ended.
func (r *Receiver) forget(in *incoming) {
	r.mu.Lock()
	defer r.mu.Unlock()
	subject := transfer.RecvSubject(in.key, in.id)
	if r.live[subject] == in {
		delete(r.live, subject)
	}
}

// acquire gives the caller exclusive access to the transfer until release. It
// stops the present holder, since a newer connection replaces one that may be
// dead: the context of the holder ends with the cause why (nil:
// context.Canceled). The returned context ends when the caller is replaced in
// turn.
func (in *incoming) acquire(parent context.Context, why error) (ctx context.Context, release func(), err error) {
	ctx, cancel := context.WithCancelCause(parent)
	in.mu.Lock()
	if in.stop != nil {
		in.stop(why)
	}
	in.stop = cancel
	in.mu.Unlock()
	select {
	case in.slot <- struct{}{}:
	case <-ctx.Done():
		err = context.Cause(ctx)
		cancel(nil)
		return nil, nil, err
	}
	return ctx, func() { cancel(nil); <-in.slot }, nil
}

// wait records why the transfer waits for free space; a new reason is logged.
func (in *incoming) wait(log *slog.Logger, why string) {
	if former := in.waits.Swap(why); former != why {
		log.Warn("a received transfer waits for free space", "transferId", in.id, "message", why)
	}
}

// countData counts bytes that were just verified and written.
func (r *Receiver) countData(in *incoming, bytes int) {
	r.received.Add(int64(bytes))
	in.bytes.Add(int64(bytes))
	in.meter.Add(int64(bytes))
	in.lastRecv.Store(int64(api.Now()))
}

// publishProgress publishes a live entry with the progress of the transfer.
func (s *session) publishProgress() {
	now := time.Now()
	if now.Sub(s.in.published) < transfer.ShowEvery || !s.r.o.Stream.Followed(transfer.ProgressShown.Type) {
		return
	}
	s.in.published = now
	bytes, rate := s.in.bytes.Load(), s.in.meter.Rate()
	total := s.row.TotalSize - s.row.Grown + s.in.grown.Load()
	transfer.ProgressShown.Publish(s.r.o.Stream, s.row.Username, transfer.ProgressEntry{
		Side: transfer.SideRecv, TransferID: s.in.id, TotalFiles: s.row.TotalFiles, TotalBytes: total,
		Files: s.in.files.Load(), Bytes: bytes, Rate: rate, EtaSeconds: transfer.Eta(total-bytes, rate),
	})
}

// overlay sets the fields of a transfer that are only known in memory.
func (r *Receiver) overlay(t *transfer.RecvTransfer) {
	if !t.Processing {
		return
	}
	r.mu.Lock()
	in := r.live[transfer.RecvSubject(t.SourcePublicKey, t.TransferID)]
	r.mu.Unlock()
	if in == nil {
		return
	}
	if in.counted.Load() {
		t.FilesReceived, t.BytesReceived = in.files.Load(), max(0, in.bytes.Load())
		t.TotalSize += in.grown.Load() - t.Grown
	}
	t.LastRecvTime = max(t.LastRecvTime, api.Time(in.lastRecv.Load()))
	t.Rate = in.meter.Rate()
	if waits, _ := in.waits.Load().(string); waits != "" {
		t.ErrorMessage = waits
	}
}

// Rate returns the present rate of all transfers that are received, in kbit/s.
func (r *Receiver) Rate() (rate float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, in := range r.live {
		rate += in.meter.Rate()
	}
	return rate
}

// Waiting returns how many transfers wait for free space, and why one of them does.
func (r *Receiver) Waiting() (n int, why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, in := range r.live {
		if waits, _ := in.waits.Load().(string); waits != "" {
			n, why = n+1, waits
		}
	}
	return n, why
}

// Transfer returns a received transfer with its live numbers. Callers who are
// not superusers only see the transfers that they have authorized. If several
// servers have sent one of that id, it is the newest. Codes: notFound.
func (r *Receiver) Transfer(ctx context.Context, caller api.Caller, transferID string) (transfer.RecvTransfer, error) {
	username := ""
	if !caller.Superuser {
		if username = caller.User; username == "" {
			return transfer.RecvTransfer{}, api.NotFound("received transfer", transferID)
		}
	}
	t, err := r.o.Store.RecvTransfer(ctx, transferID, username)
	if err != nil {
		return transfer.RecvTransfer{}, err
	}
	r.overlay(&t)
	return t, nil
}

// Transfers lists received transfers, newest first, with their live numbers;
// next is the Before of the next page, 0 at the end.
func (r *Receiver) Transfers(ctx context.Context, p transfer.Page) (list []transfer.RecvTransfer, next int64, err error) {
	limit := p.Limit
	p.Limit++
	if list, err = r.o.Store.RecvTransfers(ctx, p); err != nil {
		return nil, 0, err
	}
	list, next = api.CutPage(list, limit, func(t transfer.RecvTransfer) int64 { return t.Seq })
	for i := range list {
		r.overlay(&list[i])
	}
	return list, next, nil
}

// firstRemoved is the position, for Files, of the first removal: behind all entries.
const firstRemoved = 1 << 40

// Files lists the recorded files and empty directories of a received transfer
// in order, then the files and links that it has removed, from position from, limit at most
// together; next is the position that the next page begins with, 0 at the end. Codes: notFound.
func (r *Receiver) Files(ctx context.Context, caller api.Caller, transferID string, from int64, limit int) (list []transfer.RecvFile, removed []transfer.Removal, next int64, err error) {
	t, err := r.Transfer(ctx, caller, transferID)
	if err != nil {
		return nil, nil, 0, err
	}
	if list, next, err = r.entryPage(ctx, &t, from, limit); err != nil || next != 0 {
		return list, nil, next, err
	}
	for at := max(from-firstRemoved, 0); ; {
		page, err := r.o.Store.Removals(ctx, t.SourcePublicKey, t.TransferID, at, placeBatch)
		if err != nil {
			return nil, nil, 0, err
		}
		for _, e := range page {
			if at = e.Index + 1; e.Dir || e.State != transfer.RemovalDone {
				continue
			}
			if len(list)+len(removed) == limit {
				return list, removed, firstRemoved + e.Index, nil
			}
			removed = append(removed, e)
		}
		if len(page) < placeBatch {
			return list, removed, 0, nil
		}
	}
}

// entryPage is Files for the entries alone.
func (r *Receiver) entryPage(ctx context.Context, t *transfer.RecvTransfer, from int64, limit int) (list []transfer.RecvFile, next int64, err error) {
	for f, err := range transfer.WithoutFilled(r.o.Store.RecvFiles(ctx, t.SourcePublicKey, t.TransferID, from)) {
		if err != nil {
			return nil, 0, err
		}
		if len(list) == limit {
			return list, f.Index, nil
		}
		list = append(list, f)
	}
	return list, 0, nil
}
