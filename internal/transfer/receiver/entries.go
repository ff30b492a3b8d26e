package receiver

import (
	"context"
	"fmt"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/wire"
)

// entries handles a page of the file list.
func (s *session) entries(ctx context.Context, page wire.Entries) error {
	in := &s.intake
	if err := s.checkPage(page, int(in.listed-s.window.position())); err != nil {
		return err
	}
	if err := s.commits.room(ctx); err != nil {
		return err
	}
	list := make([]*arrival, 0, len(page.Entries))
	for _, e := range page.Entries {
		a, err := s.entry(ctx, e)
		if err != nil {
			return err
		}
		list = append(list, a)
	}
	if in.compares != nil {
		return in.compares.add(list)
	}
	if s.answersSkip() {
		if err := s.conn.Send(wire.TypeSkip, skipOf(page.From, list)); err != nil {
			return err
		}
	}
	return s.take(list)
}

// checkPage checks the place of a page in the list, of which a number of entries are
// pending.
func (s *session) checkPage(page wire.Entries, pending int) error {
	switch in := &s.intake; {
	case page.From != in.listed:
		return &wire.ProtocolError{Reason: fmt.Sprintf("a page of the file list begins at %d instead of %d", page.From, in.listed)}
	case pending+len(page.Entries) > maxPending:
		return &wire.ProtocolError{Reason: "the file list runs too far ahead of the data"}
	case in.listed+int64(len(page.Entries)) > s.r.o.MaxEntries:
		return failf(nil, "the transfer has more entries than this server takes (%d)", s.r.o.MaxEntries)
	}
	return nil
}

// skipOf returns the answer to a page.
func skipOf(from int64, list []*arrival) wire.Skip {
	skip := []int64{}
	for _, a := range list {
		if a.Skipped {
			skip = append(skip, a.Index)
		}
	}
	return wire.Skip{From: from, Indices: skip}
}

// take lets the data of a page come, but not in a dry run.
func (s *session) take(list []*arrival) error {
	if s.window == nil {
		return nil
	}
	for _, a := range list {
		switch {
		case a.Dir || a.Skipped:
			a.done = true
		case a.Size == 0:
			if err := s.empty(a); err != nil {
				return err
			}
			a.done = true
		}
	}
	s.window.add(list)
	return nil
}

// entry checks one entry of the file list and decides whether its data are
// needed.
func (s *session) entry(ctx context.Context, e wire.Entry) (*arrival, error) {
	in := &s.intake
	a := &arrival{RecvFile: transfer.RecvFile{
		Index: in.listed, Name: string(e.Name), Size: e.Size,
		Mode: s.r.o.Modes.of(e.Dir, e.Mode), ModTime: e.ModTime, Dir: e.Dir, Grown: e.Grown,
		Root: e.Root && e.Dir && s.row.Mirror != nil,
	}}
	f := &a.RecvFile
	if f.Size < 0 || f.Size > maxTotalBytes || f.Dir && (f.Size != 0 || e.Grown != 0) ||
		e.Grown > f.Size || e.Grown < f.Size-(in.settings.TotalBytes-in.bytes) {
		return nil, &wire.ProtocolError{Reason: "the sizes of the file list are not those of the transfer"}
	}
	if err := in.grow(e.Grown); err != nil {
		return nil, err
	}
	s.in.grown.Store(in.grown)
	kept := s.in.partial
	begun := kept.Offset > 0 && f.Index == kept.Index
	switch {
	case begun && f.Dir:
		return nil, &wire.ProtocolError{Reason: "the file list is not the one that the transfer began with"}
	case begun && (kept.Size != f.Size || kept.ModTime != f.ModTime):
		begun = false
		if err := s.forgetPartial(ctx); err != nil {
			return nil, err
		}
	case begun:
		a.resumed = kept.Offset
		a.have = a.got.add(0, kept.Offset)
		a.claimed.add(0, kept.Offset)
	}
	in.listed++
	in.bytes += f.Size - e.Grown
	if !f.Dir {
		if in.files++; in.files > in.settings.TotalFiles {
			return nil, &wire.ProtocolError{Reason: "the file list has more files than the transfer"}
		}
	}
	if wrong := checkName(f.Name, onWindows); wrong != "" && !(f.Dir && f.Name == "/") {
		return a, s.refuse(f, fmt.Sprintf("the name %s %s", api.Quote(f.Name), wrong))
	}
	if f.Dir || !transfer.MaySkip(s.row.Conflict) && s.row.Conflict != transfer.ConflictFail || begun {
		return a, nil
	}
	there, err := s.place.look(s.place.path(f.Name))
	switch {
	case err != nil:
		return nil, err
	case there == nil:
	case s.row.Conflict == transfer.ConflictSkip:
		f.Skipped = true
	case in.settings.Checksum:
		if f.Skipped = there.Mode().IsRegular() && there.Size() == f.Size; f.Skipped && f.Size > 0 {
			f.Skipped, a.there = false, there
		}
	case transfer.MaySkip(s.row.Conflict):
		f.Skipped = there.Mode().IsRegular() && transfer.Keeps(s.row.Conflict, there.Size(), there.ModTime(), f.Size, stamp(f))
	default:
		return a, s.refuse(f, fmt.Sprintf("%s exists already at the receiver", api.Quote(s.place.path(f.Name))))
	}
	return a, nil
}

// refuse skips an entry if onError is continue; else it fails the transfer.
func (s *session) refuse(f *transfer.RecvFile, message string) error {
	if s.row.OnError != "continue" {
		return failf(nil, "%s", message)
	}
	f.Skipped, f.Error = true, message
	return nil
}
