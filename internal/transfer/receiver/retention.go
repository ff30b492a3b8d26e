package receiver

import (
	"context"
	"maps"
	"slices"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
)

// How many transfers and entries one transaction of Collect removes.
const (
	collectBatch = 200
	purgeBatch   = 5000
)

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
