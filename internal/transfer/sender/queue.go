package sender

import (
	"context"
	"sync"
)

// maxOpen is how many pieces a receiver may leave unacknowledged: at least 1 GiB,
// more than a link has under way.
const maxOpen = 4096

// piece is what a lane sends at a time: some small files, or a part of a larger
// one.
type piece struct {
	parts []part
	sent  bool
	acked bool // the receiver has it
}

// part is a part of a file. It is for the lane that has taken its piece.
type part struct {
	file   *source
	offset int64
	length int
	// chunks are what it was cut into when it was first read. When it is sent
	// again their checksums must still be right.
	chunks []chunk
}

type chunk struct {
	length int
	sum    uint64
}

// queue hands the pieces of a transfer to its lanes. Safe for concurrent use.
type queue struct {
	ahead int // how many pieces wait at most

	mu      sync.Mutex
	changed *sync.Cond
	again   []*piece // of lanes that broke
	fresh   []*piece
	lanes   int // lanes with a lower number may take pieces
	unsent  int // pieces that no lane has sent yet
	// open are the pieces from the first one on that the receiver does not have.
	open []*piece
	// changes are versions of changed files that are not cut into pieces yet, in the
	// order of their indices; ready is how many of them the receiver expects.
	changes   []*source
	ready     int
	pieceSize int // of their pieces
	err       error
}

// newQueue returns a queue that ends with ctx.
func newQueue(ctx context.Context, ahead int) (q *queue, stop func() bool) {
	q = &queue{ahead: ahead}
	q.changed = sync.NewCond(&q.mu)
	return q, context.AfterFunc(ctx, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.err = context.Cause(ctx)
		q.changed.Broadcast()
	})
}

// put adds a piece, once few wait and the receiver has most of those before.
func (q *queue) put(p *piece) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.err == nil && (len(q.fresh) >= q.ahead || len(q.open) >= maxOpen) {
		q.changed.Wait()
	}
	q.fresh, q.open = append(q.fresh, p), append(q.open, p)
	q.unsent++
	q.changed.Broadcast()
	return q.err
}

// take waits for the next piece for a lane, until ctx ends.
func (q *queue) take(ctx context.Context, lane int) (*piece, error) {
	stop := context.AfterFunc(ctx, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.changed.Broadcast()
	})
	defer stop()
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.err == nil && ctx.Err() == nil && (lane >= q.lanes || len(q.again)+len(q.fresh) == 0 && !q.cuttable()) {
		q.changed.Wait()
	}
	if q.err != nil {
		return nil, q.err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	defer q.changed.Broadcast()
	if len(q.again) == 0 && q.cuttable() {
		return q.cut(), nil
	}
	from := &q.fresh
	if len(q.again) > 0 {
		from = &q.again
	}
	p := (*from)[0]
	*from = (*from)[1:]
	return p, nil
}

// giveBack returns pieces to be sent again, before others.
func (q *queue) giveBack(list []*piece) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.again = append(q.again, list...)
	q.changed.Broadcast()
}

// sent says that a piece was written to a lane.
func (q *queue) sent(p *piece) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !p.sent {
		p.sent = true
		q.unsent--
		q.changed.Broadcast()
	}
}

// acknowledge says that the receiver has a piece.
func (q *queue) acknowledge(p *piece) {
	q.mu.Lock()
	defer q.mu.Unlock()
	p.acked = true
	for len(q.open) > 0 && q.open[0].acked {
		q.open = q.open[1:]
		q.changed.Broadcast()
	}
}

// tooFar reports whether entries up to index lie further ahead of what the
// receiver has than it remembers. mu is held.
func (q *queue) tooFar(index int64) bool {
	return len(q.open) > 0 && index-q.open[0].first() > entriesAhead ||
		len(q.changes) > 0 && index-q.changes[0].Index > entriesAhead
}

// room reports whether entries up to index may be announced. If wait is set it
// waits until they may.
func (q *queue) room(index int64, wait bool) (bool, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for wait && q.err == nil && q.tooFar(index) {
		q.changed.Wait()
	}
	return !q.tooFar(index), q.err
}

// setLanes sets how many lanes may take pieces.
func (q *queue) setLanes(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.lanes != n {
		q.lanes = n
		q.changed.Broadcast()
	}
}

// full reports whether as many pieces wait as may.
func (q *queue) full() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.fresh) >= q.ahead
}

// addLane lets as many more pieces wait as one more lane wants.
func (q *queue) addLane() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ahead += piecesAhead
	q.changed.Broadcast()
}

// wait waits until every piece was sent once, also of changed files.
func (q *queue) wait() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.err == nil && q.unsent+len(q.changes) > 0 {
		q.changed.Wait()
	}
	return q.err
}
