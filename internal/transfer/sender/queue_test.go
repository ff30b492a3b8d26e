package sender

import (
	"testing"
	"testing/synctest"
)

// What a receiver leaves unacknowledged is bounded.
func TestQueueWaitsForAcknowledgements(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, stop := newQueue(t.Context(), 1)
		defer stop()
		q.setLanes(1)
		put := 0
		go func() {
			for ; put <= maxOpen; put++ {
				if q.put(&piece{}) != nil {
					return
				}
			}
		}()
		var sent []*piece
		for range maxOpen {
			p, err := q.take(t.Context(), 0)
			if err != nil {
				t.Fatal(err)
			}
			q.sent(p)
			sent = append(sent, p)
		}
		synctest.Wait()
		if put != maxOpen {
			t.Fatalf("%d pieces were queued, and the receiver has none; want %d", put, maxOpen)
		}
		q.acknowledge(sent[1])
		synctest.Wait()
		if put != maxOpen {
			t.Error("the first piece is not acknowledged, and one more was queued")
		}
		q.acknowledge(sent[0])
		synctest.Wait()
		if put != maxOpen+1 {
			t.Error("there is room, and no piece was queued")
		}
	})
}
