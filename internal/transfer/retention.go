package transfer

import (
	"context"

	"jetstream/internal/api"
)

// collectBatch is how many objects one transaction removes.
const collectBatch = 200

// Collect removes transfers that ended before a time, then manifests made
// before it that no transfer refers to, with their file lists. It returns how many of each, also when
// ctx ends before it is done.
func (e *Engine) Collect(ctx context.Context, before api.Time) (transfers, manifests int, err error) {
	transfers, err = e.collect(ctx, func(tx Tx) (int, error) { return tx.CollectTransfers(before, collectBatch) })
	if err != nil {
		return transfers, 0, err
	}
	manifests, err = e.collect(ctx, func(tx Tx) (int, error) { return tx.CollectManifests(before, collectBatch) })
	if manifests > 0 {
		signal(e.walkWake) // their file lists are to be purged, if not here
	}
	for more := manifests > 0; more && err == nil; {
		more, err = e.purge(ctx)
	}
	return transfers, manifests, err
}

func (e *Engine) collect(ctx context.Context, some func(Tx) (int, error)) (total int, err error) {
	for {
		n := 0
		err := e.o.Store.Update(ctx, func(tx Tx) (err error) {
			n, err = some(tx)
			return err
		})
		if err != nil {
			return total, err
		}
		if total += n; n < collectBatch {
			return total, nil
		}
	}
}
