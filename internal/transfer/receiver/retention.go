package receiver

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
)

// How many transfers and entries one transaction of Collect removes.
const (
	collectBatch = 200
	purgeBatch   = 5000
)

// Abandon ends the transfers whose senders were not heard of since a time, and
// removes their part files. The time before New does not count, in which they
// could not come back. It returns how many it has ended.
func (r *Receiver) Abandon(ctx context.Context, after time.Duration) (total int, err error) {
	before := api.TimeOf(time.Now().Add(-after))
	if r.started >= before {
		return 0, nil
	}
	rows, err := r.o.Store.Receiving(ctx)
	if err != nil {
		return 0, err
	}
	for i := range rows {
		if !isAbandoned(&rows[i], before) {
			continue
		}
		ended, err := r.abandon(ctx, &rows[i], before, after)
		if err != nil {
			return total, err
		}
		if ended {
			total++
		}
	}
	return total, nil
}

func isAbandoned(row *transfer.RecvTransfer, before api.Time) bool {
	return row.Processing && !row.Finishing && max(row.StartTime, row.LastRecvTime, row.LastErrorTime) < before
}

// abandon ends a transfer, unless a connection works on it or did meanwhile.
func (r *Receiver) abandon(ctx context.Context, row *transfer.RecvTransfer, before api.Time, after time.Duration) (ended bool, err error) {
	in := r.incoming(row.SourcePublicKey, row.TransferID)
	select {
	case in.slot <- struct{}{}:
		defer func() { <-in.slot }()
	default:
		return false, nil
	}
	now, err := r.row(ctx, in.key, in.id)
	if err != nil || now == nil || !isAbandoned(now, before) {
		return false, err
	}
	_, err = r.end(ctx, in, transfer.StatusError, fmt.Sprintf("its sender did not come back for %v; what had arrived was removed", after))
	return err == nil, err
}

// Collect removes transfers that ended before a time and those that were
// authorized before it but never opened. It keeps a transfer as long as a
// trigger run needs its file list. It returns how many it has removed, also
// when ctx ends before it is done; what is left is removed by the next call.
func (r *Receiver) Collect(ctx context.Context, before api.Time) (total int, err error) {
	r.mu.Lock()
	live := slices.Collect(maps.Keys(r.live))
	r.mu.Unlock()
	for n := 2 * collectBatch; n >= collectBatch; total += n {
		err := r.o.Store.Update(ctx, func(tx transfer.RecvTx) (err error) {
			n, err = tx.CollectRecv(before, live, collectBatch)
			return err
		})
		if err != nil {
			return total, err
		}
	}
	for more := true; more; {
		err := r.o.Store.Update(ctx, func(tx transfer.RecvTx) (err error) {
			more, err = tx.PurgeRecvFiles(purgeBatch)
			return err
		})
		if err != nil {
			return total, err
		}
	}
	return total, nil
}
