package receiver

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/wire"
)

const (
	// commitBatch is how many complete entries are recorded in one transaction,
	// and thus how many part files are open at most.
	commitBatch = 64
	// syncs is how many files of a batch are synced at the same time.
	syncs = 8
	// entitledEvery is how often the user of a running transfer is checked.
	entitledEvery = 5 * time.Second
)

// committer makes complete entries durable and records them, in their order,
// while the session receives further ones. A batch consists of the entries that
// were queued while the batch before was committed.
type committer struct {
	s     *session
	queue chan finished
	stop  context.CancelCauseFunc // of the session
	dead  chan struct{}           // closed after a failure

	mu  sync.Mutex
	err error
}

func newCommitter(s *session, stop context.CancelCauseFunc) *committer {
	return &committer{s: s, queue: make(chan finished, commitBatch), stop: stop, dead: make(chan struct{})}
}

// add queues an entry. After a failure it closes the file and returns the
// failure.
func (c *committer) add(f finished) error {
	select {
	case c.queue <- f:
		return nil
	case <-c.dead:
		if f.file != nil {
			_ = f.file.Close()
		}
		return c.failure()
	}
}

func (c *committer) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// run commits entries until the queue is closed. After a failure it stops the
// session and closes the files of further entries.
func (c *committer) run(ctx context.Context) {
	var checked time.Time
	for f := range c.queue {
		batch := c.collectBatch(f)
		err := c.failure()
		if err == nil && time.Since(checked) > entitledEvery {
			checked = time.Now()
			err = c.s.r.entitled(ctx, c.s.row)
		}
		if err == nil {
			err = c.commit(ctx, batch)
		}
		for _, f := range batch {
			if f.file != nil {
				_ = f.file.Close() // may be closed already
			}
		}
		if err != nil && c.failure() == nil {
			c.mu.Lock()
			c.err = err
			c.mu.Unlock()
			close(c.dead)
			c.stop(err)
		}
	}
}

// collectBatch returns f and the entries that are queued behind it.
func (c *committer) collectBatch(f finished) []finished {
	batch := []finished{f}
	for len(batch) < commitBatch {
		select {
		case f, ok := <-c.queue:
			if !ok {
				return batch
			}
			batch = append(batch, f)
		default:
			return batch
		}
	}
	return batch
}

// commit makes a batch durable, then records it.
func (c *committer) commit(ctx context.Context, batch []finished) error {
	s := c.s
	var g errgroup.Group
	g.SetLimit(syncs)
	written := false
	for _, f := range batch {
		if f.file == nil {
			continue
		}
		written = true
		g.Go(func() error { return diskError(syncPart(s.staging, f), api.Quote(s.place.path(f.Name))) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if written {
		if err := syncBelow(s.staging, "."); err != nil {
			return diskError(err, "the directory for part files")
		}
	}
	files, bytes := int64(0), int64(0)
	records := make([]transfer.RecvFile, len(batch))
	for i, f := range batch {
		records[i] = f.RecvFile
		if f.received() {
			files, bytes = files+1, bytes+f.Size
		}
	}
	err := s.r.o.Store.Update(ctx, func(tx transfer.RecvTx) error {
		row, err := s.in.stillOpen(tx)
		if err != nil {
			return err
		}
		row.FilesReceived += files
		row.BytesReceived += bytes
		row.LastRecvTime = max(row.LastRecvTime, api.Time(s.in.lastRecv.Load()))
		return errors.Join(tx.SaveRecvTransfer(row), tx.SaveRecvFiles(s.in.key, s.in.id, records))
	})
	if err != nil {
		return err
	}
	// If the connection is broken the session finds out.
	_ = s.conn.Send(wire.TypeProgress, wire.Progress{Files: s.in.files.Add(files), Bytes: s.in.bytes.Load()})
	return nil
}

// syncPart sets the mode and the time of a part file, as far as its file system
// has them, syncs it and closes it.
func syncPart(staging *os.Root, f finished) error {
	err := tolerateModeless(f.file.Chmod(os.FileMode(f.Mode)))
	if err == nil {
		err = tolerateModeless(staging.Chtimes(partName(f.Index), stamp(&f.RecvFile), stamp(&f.RecvFile)))
	}
	if err == nil {
		err = f.file.Sync()
	}
	return errors.Join(err, f.file.Close())
}
