package sender

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/wire"
)

const (
	// maxDryRuns is how many dry runs go on at a time.
	maxDryRuns = 16
	// maxPlanned is how many entries of each kind a plan names.
	maxPlanned = 1000
)

// dryRun asks a receiver what a transfer would send.
type dryRun struct {
	stream
	plan transfer.Plan

	// refused is what the receiver would refuse of the pages that are not counted yet;
	// see stream.mu.
	refused map[int64]string
	next    int64 // index of the first entry that may be refused
}

// DryRun returns what would be sent if t, which Engine.DryRun has made, were a
// transfer. It changes nothing at either end, and ends with ctx and after timeout.
// Codes: conflict when the receiver would not take the transfer, or is not the server
// whose key is known; unavailable when it does not answer; timeout; tooManyRequests.
func (s *Sender) DryRun(ctx context.Context, t transfer.Transfer, password string, timeout time.Duration) (transfer.Plan, error) {
	select {
	case s.dryRuns <- struct{}{}:
		defer func() { <-s.dryRuns }()
	default:
		e := api.Errorf(api.CodeTooManyRequests, "%d dry runs are going on already; try again when one has ended", maxDryRuns)
		e.RetryAfter = time.Second
		return transfer.Plan{}, e
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	a := &attempt{s: s, t: t, to: net.JoinHostPort(t.DestinationAddress, strconv.Itoa(t.DestinationPort))}
	d := &dryRun{refused: map[int64]string{}, plan: transfer.Plan{Files: []transfer.PlannedFile{}, Refused: []transfer.RefusedFile{}, Removed: []transfer.RemovedFile{}}}
	err := d.run(ctx, a, password)
	if err != nil && ctx.Err() != nil {
		err = api.Errorf(api.CodeTimeout, "the dry run took longer than %v; give it more with timeoutSeconds", timeout)
	}
	if end, ok := errors.AsType[*finalError](err); ok {
		err = api.Wrap(end.cause, api.CodeConflict, "%s", end.message)
	}
	if _, ok := errors.AsType[*api.Error](err); err != nil && !ok {
		why := "cannot be reached"
		if a.connected {
			why = "did not go on"
		}
		err = api.Wrap(err, api.CodeUnavailable, "%s %s: %s", a.to, why, reason(err))
	}
	return d.plan, err
}

func (d *dryRun) run(ctx context.Context, a *attempt, password string) error {
	nc, err := a.s.o.Dial(ctx, a.to)
	if err != nil {
		return err
	}
	conn, err := wire.Client(ctx, nc, a.s.o.Identity, a.t.PublicKey, a.s.hello())
	if err != nil {
		return a.unusable(err)
	}
	a.connected, d.plan.DestinationPublicKey = true, conn.PeerKey()
	if err := a.loadMirror(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var helpers sync.WaitGroup
	defer helpers.Wait()
	defer conn.Abort()
	defer cancel(nil)
	stop := context.AfterFunc(ctx, conn.Abort)
	defer stop()
	if err := a.openDryRun(conn, password); err != nil {
		return cause(ctx, err)
	}
	sources, err := a.s.o.Engine.Sources(ctx, &a.t)
	if err != nil {
		return err
	}
	defer sources.Close()
	d.a, d.conn, d.cancel, d.sources = a, conn, cancel, sources
	d.skips, d.compares, d.outcome = newInbox[wire.Skip](), newInbox[wire.Compare](), make(chan wire.Outcome, 1)
	helpers.Go(func() { _ = conn.KeepAlive(ctx) })
	helpers.Go(d.listen)
	var reading sync.WaitGroup // what uses the sources
	defer reading.Wait()
	defer cancel(nil)
	if a.t.Checksum {
		reading.Go(func() { d.compare(ctx) })
	}
	if err := d.ask(ctx); err != nil {
		return cause(ctx, err)
	}
	select {
	case o := <-d.outcome:
		if o.Status != string(transfer.StatusComplete) {
			return failf(nil, false, "%s: %s", a.to, wire.Clean(o.Message))
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// openDryRun logs in and opens the dry run.
func (a *attempt) openDryRun(conn *wire.Conn, password string) error {
	if err := conn.Send(wire.TypeDryRun, wire.DryRun{Username: a.t.Username, Password: password, Open: a.settings()}); err != nil {
		return err
	}
	h, payload, err := conn.Read()
	if err != nil {
		return err
	}
	switch h.Type {
	case wire.TypeResume:
		var r wire.Resume
		if err := wire.Decode(payload, &r); err != nil {
			return err
		}
		if r.Index != 0 || r.Offset != 0 || !r.AnswersSkip {
			return a.broken("it wants to go on with a dry run at entry %d", r.Index)
		}
		return nil
	case wire.TypeFailure:
		var f wire.Failure
		if err := wire.Decode(payload, &f); err != nil {
			return err
		}
		if f.Code == api.CodeUnauthorized {
			return a.refusedLogin(f)
		}
		return a.dryRunFailure(f)
	}
	return a.unexpectedFrame(h)
}

// dryRunFailure turns a Failure of the receiver into an error of the API.
func (a *attempt) dryRunFailure(f wire.Failure) error {
	e := api.Errorf(api.CodeConflict, "%s: %s", a.to, wire.Clean(f.Message))
	switch f.Code {
	case api.CodeTooManyRequests:
		e.Code, e.RetryAfter = f.Code, time.Duration(min(max(f.RetryAfterSeconds, 1), 3600))*time.Second
	case api.CodeUnavailable:
		e.Code = f.Code
	}
	return e
}

// ask announces the list and counts what the receiver answers.
func (d *dryRun) ask(ctx context.Context) error {
	p := &planner{stream: &d.stream, ctx: ctx, resume: wire.Resume{AnswersSkip: true}, opener: d.sources.Opener()}
	defer p.opener.Close()
	for {
		for len(p.ahead) < pagesAhead && !p.atEnd {
			if err := p.announce(); err != nil {
				return err
			}
		}
		if len(p.ahead) == 0 {
			d.allSent.Store(true)
			return d.control(wire.TypeEnd, struct{}{})
		}
		next := p.ahead[0]
		p.ahead = p.ahead[1:]
		skip, err := p.skipped(next)
		if err != nil {
			return err
		}
		for i := range next.files {
			if err := d.count(&next.files[i], skip[next.files[i].Index]); err != nil {
				return err
			}
		}
	}
}

// count counts what the receiver would do with an entry.
func (d *dryRun) count(f *transfer.ManifestFile, skip bool) error {
	d.mu.Lock()
	why, refused := d.refused[f.Index]
	delete(d.refused, f.Index)
	d.next = max(d.next, f.Index+1)
	d.mu.Unlock()
	p, name, name64 := &d.plan, f.Name, api.Base64Unless(f.Name)
	switch {
	case refused:
		if p.RefusedEntries++; len(p.Refused) < maxPlanned {
			p.Refused = append(p.Refused, transfer.RefusedFile{DestPath: name, DestPathBase64: name64, Reason: why})
		}
		p.MoreRefused = p.RefusedEntries > maxPlanned
	case skip && (f.Dir || !transfer.MaySkip(d.a.t.Conflict)):
		return d.a.broken("it wants to skip entry %d, which it was not asked about", f.Index)
	case f.Dir:
	case skip:
		p.UnchangedFiles++
		p.UnchangedBytes += f.Size
	default:
		p.FilesToSend++
		p.BytesToSend += f.Size
		if len(p.Files) < maxPlanned {
			p.Files = append(p.Files, transfer.PlannedFile{DestPath: name, DestPathBase64: name64, FileSize: f.Size})
		}
		p.MoreFiles = p.FilesToSend > maxPlanned
	}
	return nil
}

// listen handles messages of the receiver until the dry run or the connection ends.
func (d *dryRun) listen() {
	for {
		h, payload, err := d.conn.Read()
		if err == nil {
			err = d.message(h, payload)
		}
		if err != nil {
			d.cancel(err)
			return
		}
		if h.Type == wire.TypeOutcome {
			return
		}
	}
}

func (d *dryRun) message(h wire.Header, payload []byte) error {
	switch h.Type {
	case wire.TypeSkip:
		var skip wire.Skip
		if err := wire.Decode(payload, &skip); err != nil {
			return err
		}
		return d.put(d.skips.put(skip, len(skip.Indices)))
	case wire.TypeCompare:
		var c wire.Compare
		if !d.a.t.Checksum {
			break
		}
		if err := wire.Decode(payload, &c); err != nil {
			return err
		}
		return d.put(d.compares.put(c, len(c.Indices)))
	case wire.TypeRefused:
		var r wire.Refused
		if err := wire.Decode(payload, &r); err != nil {
			return err
		}
		return d.refuse(r)
	case wire.TypeRemoval:
		var r wire.Removal
		if !d.a.t.Mirror || !d.allSent.Load() {
			break
		}
		if err := wire.Decode(payload, &r); err != nil {
			return err
		}
		return d.removal(r)
	case wire.TypeOutcome:
		var o wire.Outcome
		if err := wire.Decode(payload, &o); err != nil {
			return err
		}
		if !d.allSent.Load() {
			return d.a.broken("it ends the dry run before it knows everything")
		}
		d.outcome <- o
		return nil
	case wire.TypeFailure:
		var f wire.Failure
		if err := wire.Decode(payload, &f); err != nil {
			return err
		}
		return d.a.dryRunFailure(f)
	}
	return d.a.unexpectedFrame(h)
}

// refuse notes that the receiver would refuse an entry.
func (d *dryRun) refuse(r wire.Refused) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r.Index < d.next || r.Index >= d.listed.Load() {
		return d.a.broken("it refuses entry %d, which it was not asked about", r.Index)
	}
	d.next = r.Index + 1
	d.refused[r.Index] = wire.Clean(r.Message)
	return nil
}
