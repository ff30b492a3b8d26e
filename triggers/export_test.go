package triggers

import (
	"encoding/json"
	"time"

	"jetstream/internal/api"
)

// What tests of the outside may shorten or look at.

func (e *Engine) SetTimes(slowAfter, outputWait, retryAfter time.Duration) {
	e.slowAfter, e.outputWait, e.retryAfter = slowAfter, outputWait, retryAfter
}

// Times are slowAfter and outputWait.
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

// Described is the entry of a run that is to be queued, made ahead, and as it is
// made otherwise.
func Described(r *Run) (ahead, otherwise json.RawMessage, err error) {
	r.describe()
	otherwise, err = api.Marshal(r.entry())
	return r.described, otherwise, err
}

// NewCapture is a capture's write and close.
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
