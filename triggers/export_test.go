package triggers

import (
	"encoding/json"
	"log/slog"
	"time"

	"jetstream/internal/api"
)

// Access for tests in package triggers_test.

func (e *Engine) SetTimes(slowAfter, outputWait, retryAfter time.Duration) {
	e.slowAfter, e.outputWait, e.retryAfter = slowAfter, outputWait, retryAfter
}

// Times returns slowAfter and outputWait.
func Times(e *Engine) [2]time.Duration { return [2]time.Duration{e.slowAfter, e.outputWait} }

func Arguments(parameters json.RawMessage) ([]string, error) { return arguments(parameters) }

var (
	BatchArguments = batchArguments
	BatchLine      = batchLine
	IsBatch        = isBatch
	FindIn         = findIn
	NamesWith      = namesWith
	BeforeStart    = beforeStart
	StartOf        = startOf
	Began          = began
)

// FindScript returns the name of the event's script in a directory, or "".
func FindScript(dir, event string) (name string, err error) {
	d := scriptDir{path: dir, log: slog.New(slog.DiscardHandler), names: map[string]bool{}}
	return d.find(event)
}

func Lose(r *Run, clean bool, ran time.Duration) bool { return r.lose(clean, ran) }

// Described returns the entry of a queued run as encoded by describe, and as
// encoded by api.Marshal.
func Described(r *Run) (ahead, otherwise json.RawMessage, err error) {
	r.describe()
	otherwise, err = api.Marshal(r.entry())
	return r.described, otherwise, err
}

// NewCapture returns the functions write and close of a capture.
func NewCapture() (write func([]byte), end func() Output) {
	c := &capture{}
	return func(p []byte) { _, _ = c.Write(p) }, c.close
}

const (
	Kept         = kept
	MaxArgument  = maxArgument
	MaxBatchLine = maxBatchLine
	MaxKeptBytes = maxKeptBytes
)
