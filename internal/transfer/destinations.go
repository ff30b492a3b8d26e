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

// DestinationParams are the parameters of a new destination. A nil field was
// not given.
type DestinationParams struct {
	Address     string            `json:"destinationAddress" doc:"Host name or IP of the receiver, or either with its receive port as host:port or [IPv6]:port" validate:"required,max=300"`
	Port        *int              `json:"destinationPort" doc:"Receive port of the receiver, where destinationAddress names none" default:"8887" validate:"omitempty,min=1,max=65535"`
	PublicKey   *string           `json:"destinationPublicKey" doc:"The receiver's publicKey, base64url; without it the key first seen is kept" validate:"omitempty,max=64"`
	SendRateMax *int64            `json:"sendRateMax" doc:"Highest send rate in kbit/s; 0 is no limit. All transfers to the destination share it" default:"0" validate:"omitempty,min=0,max=1000000000000" unit:"kbit/s"`
	UserData    map[string]string `json:"userData" doc:"Data of your own, kept with the destination" validate:"max=64"`
}

// DestinationChange is a change of a destination. A nil field stays as it is.
type DestinationChange struct {
	PublicKey   *string           `json:"destinationPublicKey" doc:"The receiver's publicKey, base64url; empty: forget the key, and keep the one seen next" validate:"omitempty,max=64"`
	SendRateMax *int64            `json:"sendRateMax" doc:"Highest send rate in kbit/s; 0 is no limit. All transfers to the destination share it" validate:"omitempty,min=0,max=1000000000000" unit:"kbit/s"`
	UserData    map[string]string `json:"userData" doc:"Data of your own, in place of what was kept; {} removes it" validate:"max=64"`
}

func (p DestinationParams) change() DestinationChange {
	return DestinationChange{PublicKey: p.PublicKey, SendRateMax: p.SendRateMax, UserData: p.UserData}
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

// CreateDestination creates a destination owned by the caller. If the caller has
// one with the same address and port already, that one is updated by the fields
// of p that are set, and returned with existing set. Codes: invalid; conflict if
// the existing one has another public key than p's.
func (e *Engine) CreateDestination(ctx context.Context, caller api.Caller, p DestinationParams) (d Destination, existing bool, err error) {
	owner, err := caller.Owner()
	if err != nil {
		return Destination{}, false, err
	}
	host, port, err := ParseAddress(p.Address, p.Port)
	if err != nil {
		return Destination{}, false, err
	}
	if p.PublicKey != nil && *p.PublicKey == "" {
		return Destination{}, false, checkPublicKey("")
	}
	if err := p.change().check(); err != nil {
		return Destination{}, false, err
	}
	known, err := e.o.Store.DestinationAt(ctx, owner, host, port)
	if err != nil {
		return Destination{}, false, err
	}
	made := Destination{DestinationAddress: host, DestinationPort: port, Owner: owner}
	if known != nil {
		if changed, err := known.accept(p); err != nil {
			return Destination{}, false, err
		} else if !changed { // the usual call of a script: nothing to write
			return *known, true, nil
		}
		if err := e.o.Store.Update(ctx, func(tx Tx) error {
			d, existing, err = e.existingDestination(tx, made, p, caller)
			if existing {
				api.Announce(ctx, DestinationCreated(d, existing))
			}
			return err
		}); err != nil || existing {
			return d, existing, err
		}
	}

	made.DestinationID, made.CreateTime, made.UserData = api.NewID(), api.Now(), map[string]string{}
	made.DestinationIP = e.resolve(ctx, host)
	made.Destination = net.JoinHostPort(made.DestinationIP, strconv.Itoa(port))
	made.Sender = e.senderAddress(ctx, made.DestinationIP, port)
	made.apply(p.change())
	err = e.o.Store.Update(ctx, func(tx Tx) error {
		// Another call may have made it while the address was resolved.
		if d, existing, err = e.existingDestination(tx, made, p, caller); err != nil {
			return err
		}
		if !existing {
			d = made
			if err := e.move(tx, &destinationObject{Destination: &d}, present, causeOf(caller)); err != nil {
				return err
			}
		}
		api.Announce(ctx, DestinationCreated(d, existing))
		return nil
	})
	if err != nil {
		return Destination{}, false, err
	}
	return d, existing, nil
}

// DestinationCreated is the answer to a call of CreateDestination.
func DestinationCreated(d Destination, existing bool) api.Result[Destination] {
	r := api.Result[Destination]{Value: d, Existing: existing}
	if existing {
		r.Message = "Destination exists."
	}
	return r
}

// existingDestination looks for a destination of the same owner, address and
// port as made and applies p to it.
func (e *Engine) existingDestination(tx Tx, made Destination, p DestinationParams, caller api.Caller) (Destination, bool, error) {
	d, err := tx.DestinationAt(made.Owner, made.DestinationAddress, made.DestinationPort)
	if err != nil || d == nil {
		return Destination{}, false, err
	}
	changed, err := d.accept(p)
	if err != nil {
		return Destination{}, false, err
	}
	if changed {
		if err := e.saveUpdate(tx, d, caller.RequestID); err != nil {
			return Destination{}, false, err
		}
	}
	return *d, true, nil
}

func (e *Engine) saveUpdate(tx Tx, d *Destination, requestID string) error {
	id := d.DestinationID
	tx.AfterCommit(func() { e.watchers.notify(id) })
	return errors.Join(tx.SaveDestination(d), appendUpdate(tx, e.o.Stream, d, requestID))
}

// UpdateDestination changes a destination. Another rate is kept at once, by what is
// being sent as well. Another key is used for connections
// that are made from now on: a transfer that is being sent goes on, and one
// that has failed stays so. An unfinished transfer fails if the server that
// answers next is not the one that it began with. Codes: invalid, notFound.
func (e *Engine) UpdateDestination(ctx context.Context, caller api.Caller, destinationID string, c DestinationChange) (d Destination, err error) {
	if err := c.check(); err != nil {
		return Destination{}, err
	}
	err = e.o.Store.Update(ctx, func(tx Tx) error {
		known, err := tx.Destination(destinationID)
		if known, err = visible(caller, known, err); err != nil {
			return err
		}
		if known.apply(c) {
			err = e.saveUpdate(tx, known, caller.RequestID)
		}
		d = *known
		return err
	})
	return d, err
}

// accept applies the parameters of a repeated creation. Unlike apply it refuses
// a public key that differs from the known one.
func (d *Destination) accept(p DestinationParams) (changed bool, err error) {
	if p.PublicKey != nil && d.DestinationPublicKey != "" && d.DestinationPublicKey != *p.PublicKey {
		return false, d.otherKey(*p.PublicKey)
	}
	return d.apply(p.change()), nil
}

// apply sets the given fields and reports whether any of them was different.
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
func (e *Engine) Destination(ctx context.Context, caller api.Caller, destinationID string) (Destination, error) {
	d, err := e.o.Store.Destination(ctx, destinationID)
	return visible(caller, d, err)
}

// LoadDestination returns a destination of any owner, for the sender. Codes:
// notFound.
func (e *Engine) LoadDestination(ctx context.Context, destinationID string) (Destination, error) {
	return e.o.Store.Destination(ctx, destinationID)
}

// Destinations lists destinations, newest first; next is the Before of the next
// page, 0 at the end.
func (e *Engine) Destinations(ctx context.Context, p Page) (list []Destination, next int64, err error) {
	return readPage(ctx, p, e.o.Store.Destinations, func(d Destination) int64 { return d.Seq })
}

// DeleteDestination removes a destination. With unfinished transfers it is a
// conflict, unless force, which cancels them. Codes: notFound, conflict.
func (e *Engine) DeleteDestination(ctx context.Context, caller api.Caller, destinationID string, force bool) error {
	return e.o.Store.Update(ctx, func(tx Tx) error {
		d, err := tx.Destination(destinationID)
		if d, err = visible(caller, d, err); err != nil {
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
		return e.move(tx, &destinationObject{Destination: d, exists: true}, absent, causeOf(caller))
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

// PinKey compares the public key of a destination's server (base64url) with the
// pinned one, and pins it if there is none. Codes: notFound, conflict when they
// differ.
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

// ReceiverKeyParams name a receiver.
type ReceiverKeyParams struct {
	Address string `json:"destinationAddress" doc:"Host name or IP of the receiver, or either with its receive port as host:port or [IPv6]:port" validate:"required,max=300"`
	Port    *int   `json:"destinationPort" doc:"Receive port of the receiver, where destinationAddress names none" default:"8887" validate:"omitempty,min=1,max=65535"`
}

// ReceiverKey is the public key of a receiver.
type ReceiverKey struct {
	DestinationID        string `json:"destinationId" doc:"Id of the caller's destination at that address; empty if there is none"`
	DestinationAddress   string `json:"destinationAddress" doc:"Host name or IP of the receiver, without the port"`
	DestinationPort      int    `json:"destinationPort" doc:"Receive port of the receiver"`
	DestinationPublicKey string `json:"destinationPublicKey" doc:"The receiver's public key"`
	Pinned               bool   `json:"pinned" doc:"Whether it is the key that the destination has, which any transfer to it demands; else it is what the receiver shows now, and nobody has said yet that it is the right one"`
}

// DestinationAt returns the caller's destination at an address; one without an id,
// which nobody has made, where there is none. Codes: invalid.
func (e *Engine) DestinationAt(ctx context.Context, caller api.Caller, p ReceiverKeyParams) (Destination, error) {
	owner, err := caller.Owner()
	if err != nil {
		return Destination{}, err
	}
	host, port, err := ParseAddress(p.Address, p.Port)
	if err != nil {
		return Destination{}, err
	}
	known, err := e.o.Store.DestinationAt(ctx, owner, host, port)
	if err != nil || known == nil {
		return Destination{DestinationAddress: host, DestinationPort: port}, err
	}
	return *known, nil
}

// contactEvery is how often the lastSendTime of a destination is saved at most.
const contactEvery = 5 * time.Second

// Reached records that something was sent to a destination just now. Failures
// to save that are only logged.
func (e *Engine) Reached(destinationID string) {
	e.updateContact(destinationID, func(d *Destination) bool {
		now := api.Now()
		if d.LastErrorMessage == "" && now.Std().Sub(d.LastSendTime.Std()) < contactEvery {
			return false
		}
		d.LastErrorMessage, d.LastSendTime = "", now
		return true
	})
}

// Unreached records the message of err as the reason why a destination could
// not be reached. Failures to save that are only logged.
func (e *Engine) Unreached(destinationID string, err error) {
	message := api.ErrorOf(err).Message
	e.updateContact(destinationID, func(d *Destination) bool {
		if d.LastErrorMessage == message {
			return false
		}
		d.LastErrorMessage = message
		return true
	})
}

// updateContact saves a change of a destination, unless change reports that
// nothing has changed.
func (e *Engine) updateContact(destinationID string, change func(*Destination) bool) {
	ctx, cancel := context.WithTimeout(context.Background(), saveTimeout)
	defer cancel()
	d, err := e.o.Store.Destination(ctx, destinationID)
	if err == nil && change(&d) {
		err = e.o.Store.Update(ctx, func(tx Tx) error {
			d, err := tx.Destination(destinationID)
			if err != nil || !change(d) {
				return err
			}
			return tx.SaveDestination(d)
		})
	}
	if err != nil && api.ErrorOf(err).Code != api.CodeNotFound {
		e.o.Log.Warn("the last contact with a destination was not saved", "destinationId", destinationID, "error", err)
	}
}
