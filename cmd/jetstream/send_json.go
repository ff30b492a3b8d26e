package main

import (
	"errors"

	"jetstream/internal/api"
	"jetstream/internal/watch"
)

// jsonFlag is the flag of commands that show how a transfer gets on.
type jsonFlag struct {
	JSON bool `name:"json" help:"Print one JSON object a line on standard output, for programs: see docs/send-json.md."`
}

// The codes of errors that no server has answered.
const (
	codeUsage  api.Code = "usage"
	codeFailed api.Code = "failed"
)

// report writes err, if there is one, as the last object, and returns it.
func (f *jsonFlag) report(p *program, err error) error {
	if !f.JSON || err == nil {
		return err
	}
	code, message, status := codeFailed, err.Error(), exitFailed
	if e, ok := errors.AsType[*api.Error](err); ok {
		code, message = e.Code, e.Message
	}
	if e, ok := errors.AsType[*usageError](err); ok {
		code, message, status = codeUsage, e.message, exitUsage
	}
	_ = watch.WriteError(p.Stdout, code, message, status) // err says why, if nobody reads
	return err
}
