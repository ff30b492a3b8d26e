package sender

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/wire"
)

const (
	// batchSize is the size of a batch of frames: room for one chunk of the
	// largest size, or many small files.
	batchSize = wire.MaxData + 128<<10
	// smallestCut is the smallest rest of a batch that the beginning of a
	// larger file is put into.
	smallestCut = 64 << 10
	// listPage is how many entries are announced at a time, pagesAhead how many
	// pages are announced before their data are sent.
	listPage   = 500
	pagesAhead = 2
	// maxEntries is the size of the JSON of one page of entries.
	maxEntries = 60 << 10
)

// producer reads the manifest and its files into batches of frames. It is for
// one goroutine.
type producer struct {
	*stream
	ctx     context.Context
	resume  wire.Resume
	sources *transfer.Sources
	batch   []byte
	listed  int64 // index of the next entry to announce
	ahead   []page
	atEnd   bool
}

// page holds announced entries of which the data must still be sent.
type page struct {
	files   []transfer.ManifestFile
	answers int // number of Skip messages to expect
}

// produce fills batches until the whole transfer is sent, then closes the
// channel. An error cancels the stream.
func (s *stream) produce(ctx context.Context, resume wire.Resume) {
	defer close(s.batches)
	p := &producer{stream: s, ctx: ctx, resume: resume, listed: resume.Index}
	if err := p.run(); err != nil {
		s.cancel(err)
	}
}

func (p *producer) run() (err error) {
	if p.sources, err = p.a.s.o.Engine.Sources(p.ctx, &p.a.t); err != nil {
		return p.sourceError(err)
	}
	defer p.sources.Close()
	if err := p.nextBatch(); err != nil {
		return err
	}
	for {
		for len(p.ahead) < pagesAhead && !p.atEnd {
			if err := p.announce(); err != nil {
				return err
			}
		}
		if len(p.ahead) == 0 {
			break
		}
		next := p.ahead[0]
		p.ahead = p.ahead[1:]
		if err := p.sendPage(next); err != nil {
			return err
		}
	}
	if err := p.control(wire.TypeEnd, struct{}{}); err != nil {
		return err
	}
	p.allSent.Store(true)
	return p.flush()
}

// nextBatch waits for a free batch.
func (p *producer) nextBatch() error {
	select {
	case p.batch = <-p.free:
	case <-p.ctx.Done():
		return context.Cause(p.ctx)
	}
	if p.batch == nil {
		p.batch = make([]byte, 0, batchSize)
	}
	return nil
}

// flush passes the batch to the writer and gets a free one.
func (p *producer) flush() error {
	if len(p.batch) == 0 {
		return nil
	}
	select {
	case p.batches <- p.batch:
	case <-p.ctx.Done():
		return context.Cause(p.ctx)
	}
	return p.nextBatch()
}

// reserve makes sure that n bytes fit into the batch.
func (p *producer) reserve(n int) error {
	if cap(p.batch)-len(p.batch) < n {
		return p.flush()
	}
	return nil
}

func (p *producer) control(t wire.Type, message any) error {
	payload, err := json.Marshal(message)
	if err != nil {
		return err
	}
	if err := p.reserve(wire.HeaderSize + len(payload)); err != nil {
		return err
	}
	p.batch = wire.AppendFrame(p.batch, wire.Header{Type: t}, payload)
	return nil
}

// announce sends the next page of the file list.
func (p *producer) announce() error {
	files, err := p.a.s.o.Engine.LoadManifestFiles(p.ctx, p.a.t.ManifestID, p.listed, listPage)
	if err != nil {
		if errors.Is(err, &api.Error{Code: api.CodeNotFound}) {
			return failf(err, true, "the manifest of the transfer was deleted")
		}
		return err
	}
	if len(files) == 0 {
		p.atEnd = true
		return nil
	}
	next := page{files: files}
	message, size := wire.Entries{From: p.listed}, 0
	send := func() error {
		if err := p.control(wire.TypeEntries, message); err != nil {
			return err
		}
		if p.resume.AnswersSkip {
			next.answers++
		}
		message, size = wire.Entries{From: p.listed}, 0
		return nil
	}
	for _, f := range files {
		if f.Index != p.listed {
			return failf(nil, true, "the manifest of the transfer has a gap before entry %d; create it anew", f.Index)
		}
		e := wire.Entry{Name: wire.Name(f.Name), Size: f.Size, Mode: f.Mode, ModTime: f.ModTime, Dir: f.Dir}
		b, err := json.Marshal(e)
		if err != nil {
			return err
		}
		if size += len(b) + 1; size > maxEntries && len(message.Entries) > 0 {
			if err := send(); err != nil {
				return err
			}
			size = len(b) + 1
		}
		message.Entries = append(message.Entries, e)
		p.listed++
	}
	if err := send(); err != nil {
		return err
	}
	p.ahead = append(p.ahead, next)
	if p.resume.AnswersSkip {
		return p.flush()
	}
	return nil
}

// sendPage sends the data of a page of files, without those that the receiver
// skips.
func (p *producer) sendPage(next page) error {
	skip := map[int64]bool{}
	for range next.answers {
		select {
		case s := <-p.skips:
			for _, i := range s.Indices {
				if i < next.files[0].Index || i > next.files[len(next.files)-1].Index {
					return p.a.broken("it wants to skip entry %d, which it was not asked about", i)
				}
				skip[i] = true
			}
		case <-p.ctx.Done():
			return context.Cause(p.ctx)
		}
	}
	for _, f := range next.files {
		if f.Dir || f.Size == 0 || skip[f.Index] {
			continue
		}
		offset := int64(0)
		if f.Index == p.resume.Index {
			offset = p.resume.Offset
		}
		err := p.sendFile(f, offset)
		if e, ok := errors.AsType[*finalError](err); ok && p.a.t.OnError == "continue" {
			err = p.control(wire.TypeFileGone, wire.FileGone{Index: f.Index, Message: wire.Clean(e.message)})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *producer) sendFile(f transfer.ManifestFile, offset int64) error {
	file, before, err := p.sources.Open(f)
	if err != nil {
		return p.sourceError(err)
	}
	defer file.Close()
	for offset < f.Size {
		left := int(min(f.Size-offset, int64(p.a.piece(wire.MaxData))))
		if err := p.reserve(wire.HeaderSize + min(left, smallestCut)); err != nil {
			return err
		}
		at := len(p.batch)
		n := min(left, cap(p.batch)-at-wire.HeaderSize)
		payload := p.batch[at+wire.HeaderSize : at+wire.HeaderSize+n]
		if _, err := file.ReadAt(payload, offset); err != nil {
			if errors.Is(err, io.EOF) {
				return p.changed(f)
			}
			return failf(err, true, "source %s cannot be read: %s", api.Quote(f.Source), cmp.Or(api.SystemReason(err), err.Error()))
		}
		if offset+int64(n) == f.Size {
			after, err := file.Stat()
			if err != nil || after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime()) {
				return p.changed(f)
			}
		}
		wire.PutHeader(p.batch[at:at+wire.HeaderSize], wire.Header{
			Type: wire.TypeData, Length: n, Index: f.Index, Offset: offset, Sum: wire.Sum(payload),
		})
		p.batch = p.batch[:at+wire.HeaderSize+n]
		offset += int64(n)
	}
	return nil
}

func (p *producer) changed(f transfer.ManifestFile) error {
	return failf(nil, true, "source %s changed while it was sent: create a new manifest", api.Quote(f.Source))
}

// sourceError turns an error of a source into a finalError, unless it is
// temporary.
func (p *producer) sourceError(err error) error {
	e := api.ErrorOf(err)
	switch e.Code {
	case api.CodeInternal, api.CodeUnavailable, api.CodeTimeout:
		return err
	}
	return failf(e.Err, true, "%s", e.Message)
}
