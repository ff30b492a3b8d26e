package sender

import (
	"context"
	"encoding/json"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/wire"
)

// loadMirror loads what the receiver of a mirror must know of the manifest.
func (a *attempt) loadMirror(ctx context.Context) (err error) {
	if !a.t.Mirror {
		return nil
	}
	if a.mirror, err = a.s.o.Engine.MirrorSource(ctx, a.t.ManifestID); err != nil {
		return sourceError(err)
	}
	return nil
}

// openMessage is the Open of an attempt as it is when it is written, from when the age of
// the list of a mirror counts.
type openMessage struct{ *attempt }

// MarshalJSON encodes the Open.
func (m openMessage) MarshalJSON() ([]byte, error) { return json.Marshal(m.settings()) }

// wireMirror returns what the receiver must know of a mirror, nil without one.
func (a *attempt) wireMirror() *wire.Mirror {
	if a.mirror == nil {
		return nil
	}
	m := &wire.Mirror{
		MaxDelete: a.t.MaxDelete, Age: time.Since(a.mirror.Began.Std()).Microseconds(),
		Include: a.mirror.Include, Exclude: a.mirror.Exclude, Fault: wire.Clean(a.mirror.Fault),
	}
	if m.Age < 0 {
		m.Age, m.Fault = 0, "the clock of this server was set back since the manifest was made: create it anew"
	}
	return m
}

// removal notes what the receiver would remove.
func (d *dryRun) removal(r wire.Removal) error {
	p := &d.plan
	for _, e := range r.Entries {
		name := string(e.Name)
		p.Removed = append(p.Removed, transfer.RemovedFile{DestPath: name, DestPathBase64: api.Base64Unless(name), IsDir: e.Dir, FileSize: e.Size})
	}
	if len(p.Removed) > maxPlanned || r.Count < 0 {
		return d.a.broken("it names %d entries that it would remove", len(p.Removed))
	}
	p.EntriesToRemove, p.RemovalFault = r.Count, wire.Clean(r.Fault)
	p.MoreRemoved = p.EntriesToRemove > int64(len(p.Removed))
	return nil
}
