package receiver

import (
	"context"
	"maps"
	"slices"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
)

// How much one transaction of Collect removes: transfers, and their entries.
const (
	collectBatch = 200
	purgeBatch   = 5000
)

// Collect removes transfers that ended before a time and those that were
// authorized before it but never opened, and tells how many. What a waiting
// trigger run needs the file list of stays until that has run. A sender that
// comes back for a transfer that is gone is refused its ticket. It stops
// between two transactions when ctx ends; entries that are left then are
// removed the next time.
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
