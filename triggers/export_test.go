package triggers

import (
	"encoding/json"
	"time"
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
