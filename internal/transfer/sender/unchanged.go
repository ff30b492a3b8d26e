package sender

import (
	"sync"

	"jetstream/internal/transfer"
)

// unchanged counts, for each transfer that is being sent, the files that its receiver
// has already. The zero value is ready to use. Safe for concurrent use.
type unchanged struct {
	mu sync.Mutex
	by map[string]*unchangedCount
}

// unchangedCount is what is known of the entries before next. An entry that is
// announced again after a lost connection counts once.
type unchangedCount struct{ files, bytes, next int64 }

// add counts those of a page of entries that are to be skipped.
func (u *unchanged) add(transferID string, page []transfer.ManifestFile, skip map[int64]bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.by == nil {
		u.by = map[string]*unchangedCount{}
	}
	c := u.by[transferID]
	if c == nil {
		c = &unchangedCount{}
		u.by[transferID] = c
	}
	for i := range page {
		f := &page[i]
		if f.Index >= c.next && !f.Dir && skip[f.Index] {
			c.files, c.bytes = c.files+1, c.bytes+f.Size
		}
		c.next = max(c.next, f.Index+1)
	}
}

func (u *unchanged) of(transferID string) (files, bytes int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if c := u.by[transferID]; c != nil {
		return c.files, c.bytes
	}
	return 0, 0
}

func (u *unchanged) forget(transferID string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.by, transferID)
}
