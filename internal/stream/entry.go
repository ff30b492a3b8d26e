// Package stream is the log of what happened at this server. An entry is
// saved in the same transaction as the change it tells of, numbered without
// gaps, kept for some days, and shown to whoever follows the log, in order.
// What is only of the moment (progress, a script's output) is shown to those
// who follow and kept nowhere.
package stream

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
	"sync"

	"jetstream/internal/api"
)

// Entry is one line of the log. It does not change once it was published and
// is shared by all who read it.
type Entry struct {
	// ID is the entry's number: +1 each, over restarts; 0 for what is shown
	// live only.
	ID int64
	// Type names the kind of entry.
	Type string
	// Time is when it was written.
	Time api.Time
	// User is who may see it beside superusers; empty: superusers only.
	User string
	// Data is a JSON object that begins with the entry's time and user.
	Data json.RawMessage

	mark  int64 // of live entries: the ID of the stored one before; else ID
	once  sync.Once
	frame []byte
}

// Frame is the entry as one server-sent event. It is written once, by whoever
// asks first, and must not be changed.
func (e *Entry) Frame() []byte {
	e.once.Do(func() { e.frame = frameOf(e.ID, e.Type, e.Data) })
	return e.frame
}

func frameOf(id int64, typ string, data json.RawMessage) []byte {
	if bytes.ContainsAny(data, "\r\n") { // a line break would end the data's line
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

// size is about what the entry weighs in memory, its frame included.
func (e *Entry) size() int { return 2*len(e.Data) + 256 }

// Definition is one type of entry as it was declared: what the OpenAPI
// document and filters know of it.
type Definition struct {
	Type string
	// Summary is one sentence: when it is written.
	Summary string
	// Live tells that it is shown live only and carries no id.
	Live bool
	// Data are the members of the entry's data beside time and user.
	Data []api.Field
	// DataType is the struct they were read from.
	DataType reflect.Type
}

// Kind is a declared type of entry whose data is a P.
type Kind[P any] struct{ Definition }

// Define declares a type of entry that is stored. P is a struct with json and
// doc tags.
func Define[P any](typ, summary string) Kind[P] {
	t := reflect.TypeFor[P]()
	return Kind[P]{Definition{Type: typ, Summary: summary, Data: api.Fields(t), DataType: t}}
}

// DefineLive declares a type of entry that is shown live only.
func DefineLive[P any](typ, summary string) Kind[P] {
	k := Define[P](typ, summary)
	k.Live = true
	return k
}

// Append writes an entry within tx; see Log.Append.
func (k Kind[P]) Append(l *Log, tx Tx, user string, p P) error {
	if l == nil {
		return nil
	}
	data, err := api.Marshal(p)
	if err != nil {
		return err
	}
	return l.Append(tx, k.Type, user, data)
}

// Publish shows a live entry to those who follow; without any it does nothing.
func (k Kind[P]) Publish(l *Log, user string, p P) {
	if !l.Followed(k.Type) {
		return
	}
	data, err := api.Marshal(p)
	if err != nil { // a declared struct always encodes
		return
	}
	l.publishLive(newEntry(k.Type, user, data))
}

// newEntry puts time and user before the members of data, a JSON object.
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
