package sender

import (
	"context"
	"encoding/json"

	"jetstream/internal/transfer"
	"jetstream/internal/transfer/wire"
)

const (
	// listPage is how many entries are announced at a time, pagesAhead how many
	// pages are announced before their data are sent. Together they stay below what a
	// receiver takes.
	listPage   = 500
	pagesAhead = 8
	// entriesAhead is how many entries are announced of which the receiver may not
	// have the data; it takes 8192.
	entriesAhead = 8000
	// maxEntries is the size of the JSON of one page of entries.
	maxEntries = 60 << 10
	// comparedAtOnce is how many bytes the files of a message have that are compared
	// by digests. What was compared is recorded by the message.
	comparedAtOnce = 1 << 30
)

// planner announces the manifest and cuts its files into pieces. It is for one
// goroutine.
type planner struct {
	*stream
	ctx    context.Context //nolint:containedctx // of the stream
	resume wire.Resume
	listed int64 // index of the next entry to announce
	ahead  []page
	atEnd  bool
	next   piece // small files that do not fill a piece yet
	filled int   // bytes in next
	opener *transfer.Opener
}

// page holds announced entries of which the data must still be sent.
type page struct {
	files   []transfer.ManifestFile
	answers int                          // number of Skip messages to expect
	empty   map[int64]transfer.FileState // those of empty files that are to be removed
}

// plan announces the whole list and queues all pieces, then ends the list. An error
// ends the stream.
func (s *stream) plan(ctx context.Context, resume wire.Resume) {
	p := &planner{stream: s, ctx: ctx, resume: resume, listed: resume.Index, opener: s.sources.Opener()}
	defer p.opener.Close()
	if err := p.run(); err != nil {
		s.cancel(err)
	}
}

func (p *planner) run() error {
	for {
		for len(p.ahead) < pagesAhead && !p.atEnd {
			room, err := p.queue.room(p.listed+listPage, len(p.ahead) == 0)
			if err != nil {
				return err
			}
			if !room {
				break
			}
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
	if err := p.queue.wait(); err != nil {
		return err
	}
	p.allSent.Store(true)
	p.a.turn.end() // while the receiver places the files, others may be sent
	return p.control(wire.TypeEnd, struct{}{})
}

// announce sends the next page of the file list.
func (p *planner) announce() error {
	files, err := p.a.loadFiles(p.ctx, p.listed, listPage)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		p.atEnd = true
		return nil
	}
	next := page{files: files, empty: map[int64]transfer.FileState{}}
	message, size, content := wire.Entries{From: p.listed}, 0, int64(0)
	send := func() error {
		p.stream.listed.Store(p.listed)
		if err := p.control(wire.TypeEntries, message); err != nil {
			return err
		}
		if p.resume.AnswersSkip {
			next.answers++
		}
		message, size, content = wire.Entries{From: p.listed}, 0, 0
		return nil
	}
	for i := range files {
		grown := p.look(&files[i], next.empty)
		f := files[i]
		if f.Index != p.listed {
			return failf(nil, true, "the manifest of the transfer has a gap before entry %d; create it anew", f.Index)
		}
		e := wire.Entry{Name: wire.Name(f.Name), Size: f.Size, Mode: f.Mode, ModTime: f.ModTime, Dir: f.Dir, Grown: grown, Root: p.a.mirror.IsRoot(&f)}
		b, err := json.Marshal(e)
		if err != nil {
			return err
		}
		size += len(b) + 1
		content += f.Size
		if (size > maxEntries || p.a.t.Checksum && content > comparedAtOnce) && len(message.Entries) > 0 {
			if err := send(); err != nil {
				return err
			}
			size, content = len(b)+1, f.Size
		}
		message.Entries = append(message.Entries, e)
		p.listed++
	}
	if err := send(); err != nil {
		return err
	}
	p.ahead = append(p.ahead, next)
	return nil
}

// look makes a file what it is now if that must be known before it is announced: one
// without data, which no lane opens, and the one that is resumed. It returns by how many
// bytes the file has grown. The state of one without data goes into empty.
func (p *planner) look(f *transfer.ManifestFile, empty map[int64]transfer.FileState) (grown int64) {
	resumed := f.Index == p.resume.Index && p.resume.Offset > 0
	if f.Dir || f.Size > 0 && !resumed {
		return 0
	}
	if now, state, err := p.opener.Stat(*f); err == nil { // else the lane that reads it says why not
		grown = now.Size - f.Size
		if p.sent != nil && now.Size == 0 {
			empty[f.Index] = state
		}
		*f = now
		p.a.grown.Add(grown)
	}
	if resumed && (f.Size != p.resume.Size || f.ModTime != p.resume.ModTime) {
		p.resume.Offset = 0
	}
	return grown
}

// sendPage queues the data of a page of files, without those that the receiver
// skips.
func (p *planner) sendPage(next page) error {
	skip, err := p.skipped(next)
	if err != nil {
		return err
	}
	p.sent.answered(next.files, skip, next.empty)
	for i := range next.files {
		f := next.files[i]
		if f.Dir || f.Size == 0 || skip[f.Index] {
			continue
		}
		offset := int64(0)
		if f.Index == p.resume.Index {
			offset = p.resume.Offset
		}
		if err := p.cut(&source{ManifestFile: f, resumed: offset > 0}, offset); err != nil {
			return err
		}
	}
	return p.flush() // what is not queued does not hold up the list
}

// skipped waits for the answers to a page of files, and returns which entries the
// receiver skips.
func (p *planner) skipped(next page) (map[int64]bool, error) {
	skip := map[int64]bool{}
	for range next.answers {
		s, err := p.skips.take(p.ctx)
		if err != nil {
			return nil, err
		}
		for _, i := range s.Indices {
			if i < next.files[0].Index || i > next.files[len(next.files)-1].Index {
				return nil, p.a.broken("it wants to skip entry %d, which it was not asked about", i)
			}
			skip[i] = true
		}
	}
	if len(skip) > 0 {
		p.a.s.unchanged.add(p.a.t.TransferID, next.files, skip)
	}
	return skip, nil
}

// cut queues a file from offset on: as pieces of its own, or together with
// others if it is small.
func (p *planner) cut(f *source, offset int64) error {
	for offset < f.Size && !f.stale.Load() && !p.isGone(f.Index) {
		n := int(min(f.Size-offset, int64(p.pieceSize)))
		if p.filled+n+wire.HeaderSize > p.pieceSize {
			if err := p.flush(); err != nil {
				return err
			}
		}
		p.next.parts = append(p.next.parts, part{file: f, offset: offset, length: n})
		p.filled += n + wire.HeaderSize
		offset += int64(n)
	}
	return nil
}

// flush queues what was put together.
func (p *planner) flush() error {
	if len(p.next.parts) == 0 {
		return nil
	}
	next := p.next
	p.next, p.filled = piece{}, 0
	return p.queue.put(&next)
}
