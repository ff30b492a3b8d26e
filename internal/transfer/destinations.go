package transfer

import (
	"context"
	"errors"
	"maps"
	"net"
	"strconv"
	"time"

	"jetstream/internal/api"
)

// NewDestination is what CreateDestination makes a destination from; a nil
// field was not given.
type NewDestination struct {
	Owner       string
	Address     string // host, host:port or [IPv6]:port
	Port        *int
	PublicKey   *string // base64url of 32 bytes
	SendRateMax *int64  // kbit/s, 0 is no limit
	UserData    map[string]string
	// RequestID and Depth are those of the API call.
	RequestID string
	Depth     int
}

// DestinationChange is what may change of a destination; a nil field stays as
// it is.
type DestinationChange struct {
	// PublicKey is base64url of 32 bytes. Empty forgets the key, so that the
	// one that is seen next is kept.
	PublicKey   *string
	SendRateMax *int64 // kbit/s, 0 is no limit
	UserData    map[string]string
}

func (n NewDestination) change() DestinationChange {
	return DestinationChange{PublicKey: n.PublicKey, SendRateMax: n.SendRateMax, UserData: n.UserData}
}

func (c DestinationChange) check() error {
	if c.PublicKey != nil && *c.PublicKey != "" {
		if err := checkPublicKey(*c.PublicKey); err != nil {
			return err
		}
	}
	if c.SendRateMax != nil && *c.SendRateMax < 0 {
		return invalidField("sendRateMax", "min=0", "sendRateMax is a rate in kbit/s, or 0 for no limit")
	}
	return checkUserData(c.UserData)
}

// CreateDestination makes a destination, or returns the owner's existing one
// of that address and port with the given fields applied. Codes: invalid,
// conflict when another public key is known.
func (e *Engine) CreateDestination(ctx context.Context, n NewDestination) (d Destination, existing bool, err error) {
	host, port, err := ParseAddress(n.Address, n.Port)
	if err != nil {
		return Destination{}, false, err
	}
	if n.PublicKey != nil && *n.PublicKey == "" {
		return Destination{}, false, checkPublicKey("")
	}
	if err := n.change().check(); err != nil {
		return Destination{}, false, err
	}
	known, err := e.o.Store.DestinationAt(ctx, n.Owner, host, port)
	if err != nil {
		return Destination{}, false, err
	}
	if known != nil {
		if changed, err := known.accept(n); err != nil {
			return Destination{}, false, err
		} else if !changed { // the usual call of a script: nothing to write
			return *known, true, nil
		}
		if err := e.o.Store.Update(ctx, func(tx Tx) error {
			d, existing, err = e.existingDestination(tx, host, port, n)
			return err
		}); err != nil || existing {
			return d, existing, err
		}
	}

	ip := e.resolve(ctx, host)
	made := Destination{
		DestinationID: api.NewID(), DestinationAddress: host, DestinationPort: port, DestinationIP: ip,
		CreateTime: api.Now(), Owner: n.Owner, UserData: map[string]string{},
		Destination: net.JoinHostPort(ip, strconv.Itoa(port)), Sender: e.senderAddress(ctx, ip, port),
	}
	made.apply(n.change())
	err = e.o.Store.Update(ctx, func(tx Tx) error {
		// Another call may have made it while this one resolved.
		if d, existing, err = e.existingDestination(tx, host, port, n); err != nil || existing {
			return err
		}
		d = made
		return e.move(tx, &destinationObject{Destination: &d}, present, cause{n.RequestID, n.Depth})
	})
	if err != nil {
		return Destination{}, false, err
	}
	return d, existing, nil
}

// existingDestination looks for the destination that n means and applies what
// n gives.
func (e *Engine) existingDestination(tx Tx, host string, port int, n NewDestination) (Destination, bool, error) {
	d, err := tx.DestinationAt(n.Owner, host, port)
	if err != nil || d == nil {
		return Destination{}, false, err
	}
	changed, err := d.accept(n)
	if err != nil {
		return Destination{}, false, err
	}
	if changed {
		if err := e.saveUpdate(tx, d, n.RequestID); err != nil {
			return Destination{}, false, err
		}
	}
	return *d, true, nil
}

func (e *Engine) saveUpdate(tx Tx, d *Destination, requestID string) error {
	return errors.Join(tx.SaveDestination(d), noteUpdate(tx, e.o.Stream, d, requestID))
}

// UpdateDestination changes a destination. Another key is for the connections
// to come: what is being sent goes on, what has ended stays so, and an
// unfinished transfer whose receiver was another than the one that answers
// then fails. requestID is that of the API call. Codes: invalid, notFound.
func (e *Engine) UpdateDestination(ctx context.Context, destinationID string, c DestinationChange, requestID string) (d Destination, err error) {
	if err := c.check(); err != nil {
		return Destination{}, err
	}
	err = e.o.Store.Update(ctx, func(tx Tx) error {
		known, err := tx.Destination(destinationID)
		if err != nil {
			return err
		}
		if known.apply(c) {
			err = e.saveUpdate(tx, known, requestID)
		}
		d = *known
		return err
	})
	return d, err
}

// accept is apply, but refuses another public key than the one that is known.
func (d *Destination) accept(n NewDestination) (changed bool, err error) {
	if n.PublicKey != nil && d.DestinationPublicKey != "" && d.DestinationPublicKey != *n.PublicKey {
		return false, d.otherKey(*n.PublicKey)
	}
	return d.apply(n.change()), nil
}

// apply sets the given fields and tells whether any of them differed.
func (d *Destination) apply(c DestinationChange) bool {
	changed := false
	if c.PublicKey != nil && *c.PublicKey != d.DestinationPublicKey {
		d.DestinationPublicKey, changed = *c.PublicKey, true
	}
	if c.SendRateMax != nil && *c.SendRateMax != d.SendRateMax {
		d.SendRateMax, changed = *c.SendRateMax, true
	}
	if c.UserData != nil && !maps.Equal(c.UserData, d.UserData) {
		d.UserData, changed = c.UserData, true
	}
	return changed
}

func (d *Destination) otherKey(got string) error {
	return api.Errorf(api.CodeConflict, "the key of %s has changed: expected %s, got %s; "+
		"if its server was installed anew, give the destination its new key, or an empty one, with send.updateDestination",
		net.JoinHostPort(d.DestinationAddress, strconv.Itoa(d.DestinationPort)), d.DestinationPublicKey, got)
}

// Destination returns a destination. Codes: notFound.
func (e *Engine) Destination(ctx context.Context, destinationID string) (Destination, error) {
	return e.o.Store.Destination(ctx, destinationID)
}

// Destinations lists destinations, newest first; more tells that the list goes
// on.
func (e *Engine) Destinations(ctx context.Context, p Page) (list []Destination, more bool, err error) {
	return page(ctx, p, e.o.Store.Destinations)
}

// DeleteDestination removes a destination. With unfinished transfers it is a
// conflict, unless force, which cancels them. requestID and depth are those of
// the API call. Codes: notFound, conflict.
func (e *Engine) DeleteDestination(ctx context.Context, destinationID string, force bool, requestID string, depth int) error {
	return e.o.Store.Update(ctx, func(tx Tx) error {
		d, err := tx.Destination(destinationID)
		if err != nil {
			return err
		}
		open, err := tx.OpenTransfers(destinationID, "")
		if err != nil {
			return err
		}
		if len(open) > 0 && !force {
			return inUse("destination", destinationID, len(open))
		}
		if err := e.cancelAll(tx, open); err != nil {
			return err
		}
		return e.move(tx, &destinationObject{Destination: d, exists: true}, absent, cause{requestID, depth})
	})
}

func inUse(what, id string, transfers int) error {
	if transfers == 1 {
		return api.Errorf(api.CodeConflict,
			"%s %s is used by a transfer that has not ended: wait for it, cancel it, or delete with force", what, id)
	}
	return api.Errorf(api.CodeConflict,
		"%s %s is used by %d transfers that have not ended: wait for them, cancel them, or delete with force", what, id, transfers)
}

// PinKey compares the key that a destination's server has shown (base64url)
// with the one that is pinned, and pins it if there is none yet. Codes:
// notFound, conflict when it is another.
func (e *Engine) PinKey(ctx context.Context, destinationID, key string) error {
	if err := checkPublicKey(key); err != nil {
		return err
	}
	d, err := e.o.Store.Destination(ctx, destinationID)
	if err != nil || d.DestinationPublicKey == key {
		return err
	}
	return e.o.Store.Update(ctx, func(tx Tx) error {
		d, err := tx.Destination(destinationID)
		switch {
		case err != nil:
			return err
		case d.DestinationPublicKey == key:
			return nil
		case d.DestinationPublicKey != "":
			return d.otherKey(key)
		}
		d.DestinationPublicKey = key
		return tx.SaveDestination(d)
	})
}

// contactEvery is how old a saved lastSendTime may become while a destination
// is reached again and again.
const contactEvery = 5 * time.Second

// Reached notes that something was sent to a destination just now. A failure
// to save that is logged only; so it is for a destination that is gone.
func (e *Engine) Reached(destinationID string) {
	e.noteContact(destinationID, func(d *Destination) bool {
		now := api.Now()
		if d.LastErrorMessage == "" && now.Std().Sub(d.LastSendTime.Std()) < contactEvery {
			return false
		}
		d.LastErrorMessage, d.LastSendTime = "", now
		return true
	})
}

// Unreached notes why a destination could not be reached: the message that err
// has for people.
func (e *Engine) Unreached(destinationID string, err error) {
	message := api.ErrorOf(err).Message
	e.noteContact(destinationID, func(d *Destination) bool {
		if d.LastErrorMessage == message {
			return false
		}
		d.LastErrorMessage = message
		return true
	})
}

// noteContact changes a destination where note says so, and writes nothing
// where it does not.
func (e *Engine) noteContact(destinationID string, note func(*Destination) bool) {
	ctx, cancel := context.WithTimeout(context.Background(), saveTimeout)
	defer cancel()
	d, err := e.o.Store.Destination(ctx, destinationID)
	if err == nil && note(&d) {
		err = e.o.Store.Update(ctx, func(tx Tx) error {
			d, err := tx.Destination(destinationID)
			if err != nil || !note(d) {
				return err
			}
			return tx.SaveDestination(d)
		})
	}
	if err != nil && api.ErrorOf(err).Code != api.CodeNotFound {
		e.o.Log.Warn("the contact with a destination was not noted", "destinationId", destinationID, "error", err)
	}
}
