package transfer

import (
	"cmp"
	"context"
	"time"

	"jetstream/internal/api"
)

// NewManifest is what CreateManifest makes a manifest from.
type NewManifest struct {
	Owner string
	// FileMappings are source paths, as the owner's API sees them, and the
	// names that they get.
	FileMappings map[string]string
	UserData     map[string]string
	// Confined is the directory that the sources must lie in, as Manifest has
	// it; empty is /.
	Confined  string
	RequestID string
	Depth     int
}

// CreateManifest saves a pending manifest; its sources are walked in the
// background. Codes: invalid.
func (e *Engine) CreateManifest(ctx context.Context, n NewManifest) (Manifest, error) {
	if err := checkMappings(n.FileMappings); err != nil {
		return Manifest{}, err
	}
	if err := checkUserData(n.UserData); err != nil {
		return Manifest{}, err
	}
	m := Manifest{
		ManifestID: api.NewID(), FileMappings: n.FileMappings,
		Owner: n.Owner, UserData: orEmpty(n.UserData), Confined: cmp.Or(n.Confined, "/"),
	}
	err := e.o.Store.Update(ctx, func(tx Tx) error {
		tx.AfterCommit(func() { signal(e.walkWake) })
		return e.move(tx, manifestObject{&m}, StatusPending, cause{n.RequestID, n.Depth})
	})
	if err != nil {
		return Manifest{}, err
	}
	return m, nil
}

func checkMappings(mappings map[string]string) error {
	if len(mappings) == 0 || len(mappings) > maxMappings {
		return invalidField("fileMappings", "size",
			`fileMappings has %d entries: give 1 to %d, as {"/source": "/name"}`, len(mappings), maxMappings)
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
		if _, err := cleanName(name); err != nil {
			return invalidField("fileMappings", "name", "the name %s in fileMappings %s", api.Quote(name), err)
		}
	}
	if total > maxMappingBytes {
		return invalidField("fileMappings", "size", "fileMappings has %d bytes: at most %d are taken; map directories instead of files",
			total, maxMappingBytes)
	}
	return nil
}

// Manifest returns a manifest. Codes: notFound.
func (e *Engine) Manifest(ctx context.Context, manifestID string) (Manifest, error) {
	return e.o.Store.Manifest(ctx, manifestID)
}

// Manifests lists manifests, newest first; more tells that the list goes on. A
// page ends early when its file mappings grow beyond MaxPageBytes.
func (e *Engine) Manifests(ctx context.Context, p Page) (list []Manifest, more bool, err error) {
	list, more, err = page(ctx, p, e.o.Store.Manifests)
	total := 0
	for _, m := range list {
		for source, name := range m.FileMappings {
			total += len(source) + len(name)
		}
	}
	return list, more || total >= MaxPageBytes, err
}

// ManifestFiles lists the entries of a manifest in order, from index from,
// limit at most; of one that is pending, those found so far. Codes: notFound.
func (e *Engine) ManifestFiles(ctx context.Context, manifestID string, from int64, limit int) ([]ManifestFile, error) {
	return e.o.Store.ManifestFiles(ctx, manifestID, from, limit)
}

// WaitForManifest returns the manifest once it is complete or has failed, or
// as it is after timeout. Codes: notFound.
func (e *Engine) WaitForManifest(ctx context.Context, manifestID string, timeout time.Duration) (Manifest, error) {
	return await(ctx, e, manifestID, timeout, e.Manifest, func(m Manifest) bool { return m.Processing })
}

// DeleteManifest removes a manifest and stops its walk. In use by unfinished
// transfers it is a conflict, unless force, which cancels them. Codes:
// notFound, conflict.
func (e *Engine) DeleteManifest(ctx context.Context, manifestID string, force bool) error {
	return e.o.Store.Update(ctx, func(tx Tx) error {
		if _, err := tx.Manifest(manifestID); err != nil {
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
