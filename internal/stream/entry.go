// Package stream implements the event log and the event stream of the server.
//
// An entry is saved in the same transaction as the change that it describes.
// Entries are numbered without gaps, kept for some days, and delivered in order
// to followers. Live entries (progress, the output of scripts) are delivered to
// followers and not stored.
package stream

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
	"sync"

	"jetstream/internal/api"
)

// Entry is one entry of the log. It must not be changed once it is published,
// since all readers share it.
type Entry struct {
	// ID is the number of the entry: one more than that of the entry before,
	// also after a restart. It is 0 for live entries.
	ID int64
	// Type is the type of the entry, such as transfer.changed.
	Type string
	// Time is when the entry was written.
	Time api.Time
	// User is the user who may see it besides superusers; empty: only
	// superusers.
	User string
	// Data is a JSON object that begins with the entry's time and user.
	Data json.RawMessage

	mark  int64 // the ID; of a live entry the ID of the stored entry before it
	once  sync.Once
	frame []byte
}

// Frame returns the entry as a server-sent event. It is encoded at the first
// call and must not be changed.
func (e *Entry) Frame() []byte {
	e.once.Do(func() { e.frame = frameOf(e.ID, e.Type, e.Data) })
	return e.frame
}

func frameOf(id int64, typ string, data json.RawMessage) []byte {
	if bytes.ContainsAny(data, "\r\n") { // a line break would end the data
		var b bytes.Buffer
		if json.Compact(&b, data) == nil {
			data = b.Bytes()
		}
	}
	f := make([]byte, 0, len(data)+len(typ)+48)
	if id != 0 {
		f = append(f, "id: "...)
		f = strconv.AppendInt(f, id, 10)
		f = append(f, '\n')
	}
	f = append(f, "event: "...)
	f = append(f, typ...)
	f = append(f, "\ndata: "...)
	f = append(f, data...)
	return append(f, "\n\n"...)
}

// size returns roughly how much memory the entry takes, with its frame.
func (e *Entry) size() int { return 2*len(e.Data) + 256 }

// Definition describes a type of entry, for the OpenAPI document and for
// filters.
type Definition struct {
	Type string
	// Summary says in one sentence when such an entry is written.
	Summary string
	// Live reports whether entries of the type are live: not stored, without
	// id.
	Live bool
	// Restricted reports that only superusers see entries of the type.
	Restricted bool
	// Data lists the members of the entry's data besides time and user.
	Data []api.Field
	// DataType is the struct that Data was read from.
	DataType reflect.Type
}

// Kind is a declared type of entry with data of type P.
type Kind[P any] struct{ Definition }

// Define declares a type of stored entries. P is a struct with json and doc
// tags.
func Define[P any](typ, summary string) Kind[P] {
	t := reflect.TypeFor[P]()
	return Kind[P]{Definition{Type: typ, Summary: summary, Data: api.Fields(t), DataType: t}}
}

// DefineRestricted declares a type of stored entries that only superusers see,
// whichever user they are about.
func DefineRestricted[P any](typ, summary string) Kind[P] {
	k := Define[P](typ, summary)
	k.Restricted = true
	return k
}

// DefineLive declares a type of live entries.
func DefineLive[P any](typ, summary string) Kind[P] {
	k := Define[P](typ, summary)
	k.Live = true
	return k
}

// Append writes an entry in tx; see Log.Append.
func (k Kind[P]) Append(l *Log, tx Tx, user string, p P) error {
	if l == nil {
		return nil
	}
	e, err := k.Entry(user, p)
	if err != nil {
		return err
	}
	return l.AppendEntry(tx, e)
}

// Entry makes an entry for Log.AppendEntry.
func (k Kind[P]) Entry(user string, p P) (*Entry, error) {
	data, err := api.Marshal(p)
	if err != nil {
		return nil, err
	}
	e := newEntry(k.Type, user, data)
	if k.Restricted {
		e.User = ""
	}
	return e, nil
}

// Publish delivers a live entry to the followers. Without followers it does
// nothing.
func (k Kind[P]) Publish(l *Log, user string, p P) {
	if !l.Followed(k.Type) {
		return
	}
	data, err := api.Marshal(p)
	if err != nil { // cannot happen for a declared struct
		return
	}
	l.publishLive(newEntry(k.Type, user, data))
}

// newEntry makes an entry whose data is time, user and the members of data, a
// JSON object.
func newEntry(typ, user string, data json.RawMessage) *Entry {
	e := &Entry{Type: typ, Time: api.Now(), User: user}
	b := make([]byte, 0, len(data)+len(user)+48)
	b = append(b, `{"time":`...)
	b = strconv.AppendInt(b, int64(e.Time), 10)
	b = append(b, `,"user":`...)
	b = api.AppendString(b, user)
	if data = bytes.TrimSpace(data); len(data) > 2 {
		b = append(b, ',')
		b = append(b, data[1:]...)
	} else {
		b = append(b, '}')
	}
	e.Data = b
	return e
}
