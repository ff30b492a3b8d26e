package triggers

import (
	"encoding/json"
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
	FindScript     = findScript
	BeforeStart    = beforeStart
	StartOf        = startOf
	Began          = began
)

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
