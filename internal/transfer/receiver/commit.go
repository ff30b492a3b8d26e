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
)

const (
	// commitBatch is how many complete entries are recorded in one transaction at
	// most.
	commitBatch = 2048
	// commitBehind is how many complete entries may wait to be recorded before no
	// further ones are announced.
	commitBehind = 8192
	// fewFiles is how many files of a batch are synced one by one. Of more, the
	// whole file system is, which also writes what others have written to it.
	fewFiles = 8
	// entitledEvery is how often the user of a running transfer is checked.
	entitledEvery = 5 * time.Second
)

// committer makes complete entries durable and records them, in their order,
// while the session receives further ones. A batch consists of the entries that
// were queued while the batch before was committed. Now and then it makes durable what has
// arrived of the next entry.
type committer struct {
	s     *session
	place *placer // for names, which are chosen when an entry is recorded where that needs no look

	mu     sync.Mutex
	queue  []finished
	open   int           // files in the queue that are left open
	ready  chan struct{} // has a token if there is something to do
	short  chan struct{} // closed when the queue has become short; nil if nobody waits
	closed bool
	err    error

	marking sync.Mutex          // held while the checkpoint changes
	marked  transfer.Checkpoint // the last one
}

func newCommitter(s *session) *committer {
	return &committer{s: s, place: newPlacer(s.box, s.row), ready: make(chan struct{}, 1), marked: s.row.Partial}
}

// add queues an entry.
func (c *committer) add(f finished) {
	c.mu.Lock()
	c.queue = append(c.queue, f)
	c.mu.Unlock()
	c.signal()
}

func (c *committer) signal() {
	select {
	case c.ready <- struct{}{}:
	default:
	}
}

// leaveOpen reports whether a file is left open, to be synced on its own.
func (c *committer) leaveOpen() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open >= fewFiles {
		return false
	}
	c.open++
	return true
}

// room waits until few entries wait to be recorded.
func (c *committer) room(ctx context.Context) error {
	c.mu.Lock()
	if len(c.queue) < commitBehind {
		c.mu.Unlock()
		return nil
	}
	c.short = make(chan struct{})
	short := c.short
	c.mu.Unlock()
	select {
	case <-short:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// close says that no further entries are added. run then ends.
func (c *committer) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.signal()
}

func (c *committer) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// run commits entries until close. After a failure it ends the session and closes
// the files of further entries.
func (c *committer) run(ctx context.Context) {
	var checkpoint <-chan time.Time
	if every := time.Duration(c.s.intake.settings.CheckpointSeconds) * time.Second; every > 0 {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		checkpoint = ticker.C
	}
	var checked time.Time
	for {
		mark := false
		select {
		case <-c.ready:
		case <-checkpoint:
			mark = true
		}
		batch, more := c.take()
		err := c.failure()
		if err == nil && time.Since(checked) > entitledEvery {
			checked = time.Now()
			err = c.s.r.entitled(ctx, c.s.row)
		}
		if err == nil && len(batch) > 0 {
			err = c.commit(ctx, batch)
		}
		for _, f := range batch {
			if f.file != nil {
				_ = f.file.Close() // may be closed already
			}
		}
		if err == nil && mark {
			err = c.checkpoint(ctx)
		}
		if err != nil && c.failure() == nil {
			c.mu.Lock()
			c.err = err
			c.mu.Unlock()
			c.s.fail(err)
		}
		if !more {
			return
		}
	}
}

// take takes the next batch; more is false if there will be none after it.
func (c *committer) take() (batch []finished, more bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(len(c.queue), commitBatch)
	batch, c.queue = c.queue[:n:n], c.queue[n:]
	for _, f := range batch {
		if f.file != nil {
			c.open--
		}
	}
	if len(c.queue) < commitBehind/2 && c.short != nil {
		close(c.short)
		c.short = nil
	}
	if len(c.queue) > 0 {
		c.signal()
	}
	return batch, len(c.queue) > 0 || !c.closed
}

// commit makes a batch durable, then records it.
func (c *committer) commit(ctx context.Context, batch []finished) error {
	s := c.s
	if err := c.sync(batch); err != nil {
		return err
	}
	files, bytes, grown := int64(0), int64(0), int64(0)
	records := make([]transfer.RecvFile, len(batch))
	for i, f := range batch {
		if f.received() {
			files, bytes = files+1, bytes+f.Size
			c.name(&f.RecvFile)
		} else if f.Skipped && f.Error == "" && s.row.Mirror != nil {
			_ = c.place.locate(&f.RecvFile) // else the mirror does, or says why not
		}
		grown += f.Grown
		records[i] = f.RecvFile
	}
	err := s.r.o.Store.Update(ctx, func(tx transfer.RecvTx) error {
		row, err := s.in.stillOpen(tx)
		if err != nil {
			return err
		}
		row.FilesReceived += files
		row.BytesReceived += bytes
		row.TotalSize += grown
		row.Grown += grown
		row.LastRecvTime = max(row.LastRecvTime, api.Time(s.in.lastRecv.Load()))
		return errors.Join(tx.SaveRecvTransfer(row), tx.SaveRecvFiles(s.in.key, s.in.id, records))
	})
	if err != nil {
		return err
	}
	s.in.files.Add(files)
	return nil
}

// name chooses the final name of a file that replaces what has it, which saves
// saving it again. If it cannot, finish does, or says why not.
func (c *committer) name(f *transfer.RecvFile) {
	if placing(c.s.row) != transfer.ConflictOverwrite {
		return
	}
	if err := c.place.choose(f, transfer.ConflictOverwrite, map[string]struct{}{}); err != nil {
		f.Final, f.Real, f.Fold = "", "", 0
	}
}

// sync makes the part files of a batch and their names durable.
func (c *committer) sync(batch []finished) error {
	var g errgroup.Group
	written, closed := false, false
	for _, f := range batch {
		if f.received() {
			written, closed = true, closed || f.file == nil
		}
	}
	switch {
	case !written:
		return nil
	case closed && c.s.syncsFS:
		return diskError(syncFS(c.s.stagingDir), "the part files")
	}
	for _, f := range batch {
		if f.file != nil {
			g.Go(func() error { return c.s.writeError(&arrival{RecvFile: f.RecvFile}, syncPart(f.file)) })
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return diskError(syncDir(c.s.stagingDir), "the directory for part files")
}

func syncPart(file *os.File) error { return errors.Join(file.Sync(), file.Close()) }

// checkpoint makes durable what has arrived of the first entry that is not complete, and
// records how much that is, with its hashes.
func (c *committer) checkpoint(ctx context.Context) error {
	s := c.s
	c.marking.Lock()
	defer c.marking.Unlock()
	c.mu.Lock()
	idle := len(c.queue) == 0
	c.mu.Unlock()
	e, at, mixed := s.window.front()
	if !idle || e == nil || mixed || at.Offset == at.Size {
		return nil
	}
	e.opening.Lock()
	file, sum := e.file, e.sum
	e.opening.Unlock()
	if file == nil || sum == nil {
		return nil
	}
	n, rest, err := s.saveHashes(e.Index, sum, file, at.Offset)
	if err == nil {
		err = file.Sync()
	}
	if errors.Is(err, os.ErrClosed) { // complete meanwhile
		return nil
	}
	if err == nil {
		err = syncDir(s.stagingDir)
	}
	if err != nil {
		return s.writeError(e, err)
	}
	if at.Offset, at.Rest = n, rest; n == 0 {
		return nil
	}
	if err := s.r.o.Store.SaveRecvCheckpoint(ctx, s.in.key, s.in.id, at); err != nil {
		return err
	}
	c.marked = at
	return nil
}
