package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"jetstream/internal/store"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/wire"
)

// maxPeers is how many peers Rekeyed lists at each end.
const maxPeers = 100

// Rekeyed says what Rekey did.
type Rekeyed struct {
	Former, Present string // the public keys
	Aside           string // the file that has the former key
	// Sending and Receiving are how many transfers were under way, which cannot go on.
	Sending, Receiving int
	// Receivers are the addresses that this server sends to, Senders those of the servers
	// that have sent here; the newest of many.
	Receivers, Senders []string
}

// Rekey gives the server of a state directory, on which none runs, a new identity. The
// former key is put aside. Transfers that are under way cannot go on, since they belong
// to the former key: with them it is an error, unless force.
func Rekey(ctx context.Context, dir string, force bool) (r Rekeyed, err error) {
	if _, err := os.Stat(filepath.Join(dir, store.File)); err != nil {
		return r, errNoState(dir)
	}
	text, err := readKey(dir)
	if err != nil {
		return r, err
	}
	db, err := store.Open(ctx, dir)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	former, err := wire.ParseKey("the key file", text)
	if err != nil {
		return r, err
	}
	r.Former = former.PublicKey()
	if r.Sending, r.Receiving, err = db.UnderWay(ctx); err != nil {
		return r, err
	}
	if r.Sending+r.Receiving > 0 && !force {
		return r, fmt.Errorf("transfers are under way, %d sent and %d received, and they cannot go on under another key: wait for their end or cancel them, or give --force, and they fail",
			r.Sending, r.Receiving)
	}
	if r.Receivers, r.Senders, err = peers(ctx, db); err != nil {
		return r, err
	}
	key, err := wire.NewKey()
	if err != nil {
		return r, err
	}
	present, err := wire.ParseKey("the new key", key)
	if err != nil {
		return r, err
	}
	r.Present, r.Aside = present.PublicKey(), filepath.Join(dir, wire.IdentityFile+"."+time.Now().Format(stamp))
	if _, err := write(r.Aside, bytes.NewReader(text)); err != nil {
		return r, err
	}
	return r, putFile(filepath.Join(dir, wire.IdentityFile), key)
}

// peers lists the addresses of the servers that have this one's key.
func peers(ctx context.Context, db *store.DB) (receivers, senders []string, err error) {
	destinations, err := db.Transfers().Destinations(ctx, transfer.Page{Limit: maxPeers})
	if err != nil {
		return nil, nil, err
	}
	for _, d := range destinations {
		receivers = append(receivers, net.JoinHostPort(d.DestinationAddress, strconv.Itoa(d.DestinationPort)))
	}
	sources, err := db.Received().Sources(ctx, "", 0, maxPeers)
	if err != nil {
		return nil, nil, err
	}
	for _, s := range sources {
		senders = append(senders, s.SourceIP)
	}
	slices.Sort(receivers)
	slices.Sort(senders)
	return slices.Compact(receivers), slices.Compact(senders), nil
}
