package triggers

import (
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"jetstream/internal/stream"
)

const (
	// showEvery is the minimum time between two entries of one output.
	showEvery = 100 * time.Millisecond
	// showPiece is how much text one entry contains at most, in bytes. Output
	// beyond it is dropped.
	showPiece = 64 << 10
)

// liveOutput publishes one output of a running script as live entries. It never
// waits for followers. Safe for concurrent use.
type liveOutput struct {
	log   *stream.Log
	piece OutputEntry // without text

	mu      sync.Mutex
	pending []byte
	dropped int64
	shown   time.Time
	timer   *time.Timer // set while pending waits for showEvery
}

func newLiveOutput(log *stream.Log, r *Run, output string) *liveOutput {
	return &liveOutput{log: log, piece: OutputEntry{RunID: r.RunID, Event: r.Event, Stream: output}}
}

// write adds output of the script.
func (o *liveOutput) write(p []byte) {
	followed := o.log.Followed(RunOutput.Type)
	o.mu.Lock()
	defer o.mu.Unlock()
	if !followed {
		o.pending, o.dropped = nil, 0
		return
	}
	n := min(len(p), showPiece-len(o.pending))
	o.pending = append(o.pending, p[:n]...)
	o.dropped += int64(len(p) - n)
	if o.timer != nil {
		return
	}
	if wait := showEvery - time.Since(o.shown); wait > 0 {
		o.timer = time.AfterFunc(wait, o.due)
		return
	}
	o.show(false)
}

func (o *liveOutput) due() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.timer == nil { // closed meanwhile
		return
	}
	o.timer = nil
	o.show(false)
}

// close publishes the rest.
func (o *liveOutput) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.timer != nil {
		o.timer.Stop()
		o.timer = nil
	}
	o.show(true)
}

// show publishes the pending output, unless all without an incomplete character
// at its end. mu is held.
func (o *liveOutput) show(all bool) {
	n := len(o.pending)
	if !all {
		n = wholeRunes(o.pending)
	}
	if n == 0 && (o.dropped == 0 || !all) {
		return
	}
	p := o.piece
	p.Text = strings.ToValidUTF8(string(o.pending[:n]), "\uFFFD")
	// What was dropped came after this text.
	RunOutput.Publish(o.log, "", p)
	o.piece.DroppedBytes, o.dropped = o.dropped, 0
	o.pending = append(o.pending[:0], o.pending[n:]...)
	o.shown = time.Now()
	if all && o.piece.DroppedBytes > 0 {
		p = o.piece
		p.Text = ""
		RunOutput.Publish(o.log, "", p)
		o.piece.DroppedBytes = 0
	}
}

// wholeRunes returns the length of b without an incomplete character at its
// end.
func wholeRunes(b []byte) int {
	for i := 1; i < utf8.UTFMax && i <= len(b); i++ {
		c := b[len(b)-i]
		if utf8.RuneStart(c) {
			if !utf8.FullRune(b[len(b)-i:]) {
				return len(b) - i
			}
			break
		}
	}
	return len(b)
}
