package transfer

import (
	"context"
	"encoding/json"
	"fmt"

	"jetstream/internal/api"
)

// MirrorParams are the parameters of a mirror.
type MirrorParams struct {
	Mirror    bool  `json:"mirror" doc:"Whether the receiver, once all files are placed, removes what is in the directories that the sources became and not in the manifest. What filters left out, part files, files of other transfers and what is newer than the walk stay" default:"false"`
	MaxDelete int64 `json:"maxDelete" doc:"With mirror: how many files, links and directories may be removed. If there are more, none is, and the transfer ends as error; 0 permits none" default:"1000" validate:"min=0,max=100000000"`
}

// maxMirrorFilters is how many bytes the filters of a mirror have as JSON, which the
// receiver gets in one message.
const maxMirrorFilters = 32 << 10

// checkMirror checks the parameters of a mirror.
func (p *Params) checkMirror() error {
	if p.Mirror && p.Conflict == ConflictRename {
		return invalidField("mirror", "conflict", "mirror is not for the conflict rename, which keeps two files where the source has one: give another conflict")
	}
	if p.Mirror && p.DeleteSource {
		return invalidField("mirror", "deleteSource", "mirror is not for deleteSource: the next transfer would remove at the receiver what this one has removed here")
	}
	return nil
}

// checkMirrored checks that the receiver can be given the filters of the manifest.
func (p *Params) checkMirrored(m *Manifest) error {
	if !p.Mirror {
		return nil
	}
	text, err := json.Marshal([][]string{m.Include, m.Exclude})
	if err != nil {
		return err
	}
	if len(text) > maxMirrorFilters {
		return invalidField("mirror", "filters", "the filters of the manifest have %d bytes, and a mirror takes %d: use fewer or shorter patterns", len(text), maxMirrorFilters)
	}
	return nil
}

// MirrorSource is what the receiver of a mirror must know of the manifest.
type MirrorSource struct {
	// Began is when the list was requested, before the walk began.
	Began            api.Time
	Include, Exclude []string
	// Fault says why nothing may be removed, "" if nothing stands against it.
	Fault string
	// roots holds the names that fileMappings give.
	roots map[string]bool
}

// MirrorSource returns what the receiver of a mirror must know. Codes: notFound.
func (e *Engine) MirrorSource(ctx context.Context, manifestID string) (*MirrorSource, error) {
	m, err := e.o.Store.Manifest(ctx, manifestID)
	if err != nil {
		return nil, err
	}
	s := &MirrorSource{Began: m.CreateTime, Include: m.Include, Exclude: m.Exclude, roots: map[string]bool{}}
	for _, name := range m.FileMappings {
		if clean, err := cleanName(name); err == nil {
			s.roots[clean] = true
		}
	}
	s.Fault, err = e.mirrorFault(ctx, &m)
	return s, err
}

// IsRoot reports whether an entry of the manifest is a directory that a source became.
func (s *MirrorSource) IsRoot(f *ManifestFile) bool { return s != nil && f.Dir && s.roots[f.Name] }

// mirrorFault returns why the list of a manifest does not tell what may be removed.
func (e *Engine) mirrorFault(ctx context.Context, m *Manifest) (string, error) {
	if m.ReadErrors > 0 {
		entries := "1 entry"
		if m.ReadErrors > 1 {
			entries = fmt.Sprintf("%d entries", m.ReadErrors)
		}
		return entries + " of the sources could not be read", nil
	}
	for from := int64(0); ; {
		page, err := e.o.Store.SkippedFiles(ctx, m.ManifestID, from, e.o.PageSize)
		if err != nil {
			return "", err
		}
		for _, f := range page {
			if f.Reason == skipDangling { // such as into a file system that is not mounted
				return fmt.Sprintf("source %s is %s: mend it or exclude it", api.Quote(f.Source), f.Reason), nil
			}
			from = f.Index + 1
		}
		if len(page) < e.o.PageSize {
			return "", nil
		}
	}
}

// Mirror is what a receiver knows of a mirror.
type Mirror struct {
	MaxDelete int64    `json:"maxDelete"`
	Began     api.Time `json:"began"` // when the walk began, by the receiver's clock
	Include   []string `json:"include,omitempty"`
	Exclude   []string `json:"exclude,omitempty"`
	Fault     string   `json:"fault,omitempty"` // why nothing may be removed, "" if nothing stands against it
	// Planned reports that all removals are saved.
	Planned bool `json:"planned,omitempty"`
}

// The states of a removal.
const (
	RemovalPlanned = 0
	RemovalDone    = 1
	RemovalKept    = 2 // it was not removed after all
)

// Removal is a file, link or directory that a mirror removes.
type Removal struct {
	Index int64 // its position, from 0 without gaps; what is in a directory comes before it
	// Name, Final and Real are those of a RecvFile.
	Name, Final, Real string
	Dir               bool
	// What it was when the removal was planned. The times are in nanoseconds since
	// the Unix epoch; ChangeTime and Links are 0 where the system has no such thing.
	Size, ModTime, ChangeTime, Links int64
	State                            int
}
