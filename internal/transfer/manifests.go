package transfer

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"strings"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/transfer/filter"
)

// ManifestParams are the parameters of a new manifest.
type ManifestParams struct {
	FileMappings map[string]string `json:"fileMappings" doc:"Source paths in your sandbox and the names that they get at the receiver, 1 to 100000 entries" validate:"required,min=1,max=100000" bytes:"true"`
	Include      []string          `json:"include" doc:"Patterns, as rsync's, of names at the receiver: what one of them matches is sent, whatever exclude says. *.mov is a name anywhere, /reel/cut a path from the top, cut/ a directory; ** also stands for /" validate:"max=1000"`
	Exclude      []string          `json:"exclude" doc:"Patterns of what is left out, with all that is in it. In both lists together there are at most 1000" validate:"max=1000"`
	OnError      string            `json:"onError" doc:"What happens when something cannot be read: stop ends the manifest as error, continue leaves it out and counts it" default:"stop" validate:"oneof=stop continue"`
	UserData     map[string]string `json:"userData" doc:"Data of your own, kept with the manifest" validate:"max=64"`
}

// CreateManifest saves a pending manifest of the caller's; its sources are
// walked in the background. Codes: invalid.
func (e *Engine) CreateManifest(ctx context.Context, caller api.Caller, p ManifestParams) (Manifest, error) {
	owner, err := caller.Owner()
	if err != nil {
		return Manifest{}, err
	}
	if err := checkMappings(p.FileMappings); err != nil {
		return Manifest{}, err
	}
	if err := checkUserData(p.UserData); err != nil {
		return Manifest{}, err
	}
	if _, err := newFilter(p.Include, p.Exclude); err != nil {
		return Manifest{}, err
	}
	m := Manifest{
		ManifestID: api.NewID(), FileMappings: p.FileMappings, FileMappingsBase64: api.Base64UnlessMap(p.FileMappings),
		Include: orNone(p.Include), Exclude: orNone(p.Exclude), OnError: cmp.Or(p.OnError, "stop"),
		Owner: owner, UserData: orEmpty(p.UserData), Confined: caller.ConfinedTo(),
	}
	err = e.o.Store.Update(ctx, func(tx Tx) error {
		tx.AfterCommit(func() { signal(e.walkWake) })
		err := e.move(tx, manifestObject{&m}, StatusPending, causeOf(caller))
		api.Announce(ctx, m)
		return err
	})
	if err != nil {
		return Manifest{}, err
	}
	return m, nil
}

// newFilter returns the filter of a manifest. Codes: invalid.
func newFilter(include, exclude []string) (*filter.Filter, error) {
	f, err := filter.New(include, exclude)
	if e, ok := errors.AsType[*filter.Error](err); ok {
		return nil, invalidField(e.List, "pattern", "%s", e.Reason)
	}
	return f, err
}

// orNone returns a list that is not nil.
func orNone(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func checkMappings(mappings map[string]string) error {
	if len(mappings) == 0 || len(mappings) > MaxMappings {
		return invalidField("fileMappings", "size",
			`fileMappings has %d entries: give 1 to %d, as {"/source": "/name"}`, len(mappings), MaxMappings)
	}
	total := 0
	for source, name := range mappings {
		total += len(source) + len(name)
		if source == "" {
			return invalidField("fileMappings", "source", "fileMappings has an empty source path")
		}
		if len(source) > maxPath {
			return invalidField("fileMappings", "source", "source path %s is longer than %d bytes", api.Quote(source), maxPath)
		}
		if name == "" {
			return invalidField("fileMappings", "name",
				"the source %s in fileMappings has an empty name: give it one, or / to place what is in it at the top", api.Quote(source))
		}
		if _, err := cleanName(name); err != nil {
			return invalidField("fileMappings", "name", "the name %s in fileMappings %s", api.Quote(name), err)
		}
	}
	if total > MaxMappingBytes {
		return invalidField("fileMappings", "size", "fileMappings has %d bytes: at most %d are taken; map directories instead of files",
			total, MaxMappingBytes)
	}
	return nil
}

// Manifest returns a manifest. Codes: notFound.
func (e *Engine) Manifest(ctx context.Context, caller api.Caller, manifestID string) (Manifest, error) {
	m, err := e.o.Store.Manifest(ctx, manifestID)
	return visible(caller, m, err)
}

// Manifests lists manifests, newest first; next is the Before of the next page,
// 0 at the end. A page ends early when its file mappings grow beyond
// MaxPageBytes.
func (e *Engine) Manifests(ctx context.Context, p Page) (list []Manifest, next int64, err error) {
	list, next, err = readPage(ctx, p, e.o.Store.Manifests, func(m Manifest) int64 { return m.Seq })
	total := 0
	for _, m := range list {
		for source, name := range m.FileMappings {
			total += len(source) + len(name)
		}
	}
	if total >= MaxPageBytes { // the store has ended it
		next = list[len(list)-1].Seq
	}
	return list, next, err
}

// ManifestFiles lists the files and empty directories of a manifest in order,
// from index from, limit at most; next is the index that the next page begins
// with, 0 at the end. Of a pending manifest it lists those found so far. Codes:
// notFound.
func (e *Engine) ManifestFiles(ctx context.Context, caller api.Caller, manifestID string, from int64, limit int) (list []ManifestFile, next int64, err error) {
	if _, err := e.Manifest(ctx, caller, manifestID); err != nil {
		return nil, 0, err
	}
	for f, err := range withoutFilled(e.manifestEntries(ctx, manifestID, from), func(f ManifestFile) (string, bool) { return f.Name, f.Dir }) {
		if err != nil {
			return nil, 0, err
		}
		if len(list) == limit {
			return list, f.Index, nil
		}
		list = append(list, f)
	}
	return list, 0, nil
}

// manifestEntries lists the entries of a manifest in order, from index from.
func (e *Engine) manifestEntries(ctx context.Context, manifestID string, from int64) iter.Seq2[ManifestFile, error] {
	return func(yield func(ManifestFile, error) bool) {
		for more := true; more; {
			page, err := e.LoadManifestFiles(ctx, manifestID, from, e.o.PageSize)
			if err != nil {
				yield(ManifestFile{}, err)
				return
			}
			for _, f := range page {
				if !yield(f, nil) {
					return
				}
				from = f.Index + 1
			}
			more = len(page) == e.o.PageSize
		}
	}
}

// withoutFilled leaves out the directories that are followed by an entry in
// them. of returns the name of an entry and whether it is a directory.
func withoutFilled[T any](entries iter.Seq2[T, error], of func(T) (string, bool)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var held *T // a directory of which the next entry is not known
		for e, err := range entries {
			if err != nil {
				yield(e, err)
				return
			}
			name, isDir := of(e)
			if held != nil {
				if dir, _ := of(*held); !strings.HasPrefix(name, strings.TrimSuffix(dir, "/")+"/") && !yield(*held, nil) {
					return
				}
				held = nil
			}
			if isDir {
				held = &e
			} else if !yield(e, nil) {
				return
			}
		}
		if held != nil {
			yield(*held, nil)
		}
	}
}

// WithoutFilled leaves out the directories that are followed by an entry in
// them, so that files and empty directories are left.
func WithoutFilled(entries iter.Seq2[RecvFile, error]) iter.Seq2[RecvFile, error] {
	return withoutFilled(entries, func(f RecvFile) (string, bool) { return f.Name, f.Dir })
}

// LoadManifestFiles lists the entries of a manifest of any owner, for the
// sender: in order, from index from, limit at most. Codes: notFound.
func (e *Engine) LoadManifestFiles(ctx context.Context, manifestID string, from int64, limit int) ([]ManifestFile, error) {
	return e.o.Store.ManifestFiles(ctx, manifestID, from, limit)
}

// WaitForManifest returns the manifest once it is complete or has failed, or
// as it is after timeout. Codes: notFound.
func (e *Engine) WaitForManifest(ctx context.Context, caller api.Caller, manifestID string, timeout time.Duration) (Manifest, error) {
	return await(ctx, e, manifestID, timeout, func(ctx context.Context) (Manifest, bool, error) {
		m, err := e.Manifest(ctx, caller, manifestID)
		return m, !m.Processing, err
	})
}

// DeleteManifest removes a manifest and stops its walk. In use by unfinished
// transfers it is a conflict, unless force, which cancels them. Codes:
// notFound, conflict.
func (e *Engine) DeleteManifest(ctx context.Context, caller api.Caller, manifestID string, force bool) error {
	return e.o.Store.Update(ctx, func(tx Tx) error {
		m, err := tx.Manifest(manifestID)
		if _, err = visible(caller, m, err); err != nil {
			return err
		}
		open, err := tx.OpenTransfers("", manifestID)
		if err != nil {
			return err
		}
		if len(open) > 0 && !force {
			return inUse("manifest", manifestID, len(open))
		}
		if err := e.cancelAll(tx, open); err != nil {
			return err
		}
		if err := tx.DeleteManifest(manifestID); err != nil {
			return err
		}
		tx.AfterCommit(func() {
			e.stopWalk(manifestID)
			e.watchers.notify(manifestID)
			signal(e.walkWake)
		})
		return nil
	})
}
