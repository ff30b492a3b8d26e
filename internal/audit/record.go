// Package audit keeps the audit log: who did what, from where, with which
// result, and who was refused. Records are entries of the event log and, if there
// is one, lines of the audit log's file.
package audit

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"jetstream/internal/api"
	"jetstream/internal/stream"
)

// Record is one record of the audit log, besides its time and user.
type Record struct {
	Action     string          `json:"action" doc:"What was called: the name of a command; login, logout: of the page, and login of whoever was refused before the command was known; request: refused for its Host or Origin; recv.login: of a server that sends here; gap: see count; else method and path"`
	Status     api.Code        `json:"status" doc:"success, or the code of the failure or refusal"`
	Login      api.Login       `json:"login" doc:"How the caller was known, or tried to be: password, session, token, runToken, socket; empty without a login"`
	TokenID    string          `json:"tokenId" doc:"Id of the API token that the caller was known by, or empty"`
	Address    string          `json:"address" doc:"IP address of the caller; at the control socket uid and the number of the process's user; empty for the server itself, and for several addresses"`
	Parameters json.RawMessage `json:"parameters" doc:"The parameters: secrets are ***, unknown ones are left out, long ones are {\"truncated\":true,\"bytes\":N}"`
	Result     json.RawMessage `json:"result" doc:"The id, name or path of what the command made or found; of a command for superusers that makes nothing, all of its result"`
	Count      int64           `json:"count" doc:"1; of equal failures or refusals that followed one within a minute their number; of gap the number of records that the file could not be given"`
	Since      api.Time        `json:"since" doc:"When the first of several happened, or null"`
	RequestID  string          `json:"requestId" doc:"The X-Request-Id of the call, or empty"`
}

// Kind is the type of the audit log's entries in the event log.
//
//nolint:gochecknoglobals // a declaration
var Kind = stream.DefineRestricted[Record]("audit",
	"A command changed something or tried to, or a caller was refused. `user` is who called, `***` a name that no user has. For superusers.")

// The actions that are no commands.
const (
	ActionLogin     = "login"
	ActionLogout    = "logout"
	ActionRecvLogin = "recv.login"
	ActionRequest   = "request"
	actionGap       = "gap"
)

// Bounds of a record's texts, in bytes.
const (
	maxText       = 256
	maxParameter  = 4 << 10
	maxParameters = 16 << 10
)

// bound keeps texts from outside to their bounds.
func (r *Record) bound() {
	r.Action, r.Address = api.Shorten(r.Action, maxText), api.Shorten(r.Address, maxText)
	r.RequestID = api.Shorten(r.RequestID, maxText)
	r.Count = max(r.Count, 1)
	if len(r.Parameters) == 0 {
		r.Parameters = json.RawMessage(`{}`)
	}
	if len(r.Result) == 0 {
		r.Result = json.RawMessage(`{}`)
	}
}

// Parameters returns the parameters of a call for a record.
func Parameters(c *api.Command, params map[string]json.RawMessage) json.RawMessage {
	var o object
	for i := range c.Params {
		f := &c.Params[i]
		raw, given := params[f.Name]
		switch {
		case !given:
		case f.Secret:
			o.add(f.Name, json.RawMessage(`"`+api.Masked+`"`))
		default:
			o.add(f.Name, raw)
		}
	}
	return o.bytes()
}

// Result returns what a record says of the masked result of a successful call: what
// identifies the object, which are the members that its location names, and
// without a location all, if the command is for superusers: what the settings are
// now, or what was done to other users' objects.
func Result(c *api.Command, result json.RawMessage) json.RawMessage {
	var o object
	if c.Location == "" && c.Access != api.AccessSuperuser {
		return o.bytes()
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(result, &members) != nil {
		return o.bytes()
	}
	for _, f := range api.Fields(c.ResultType) {
		if raw, there := members[f.Name]; there && !f.Secret && (c.Location == "" || strings.Contains(c.Location, "{"+f.Name+"}")) {
			o.add(f.Name, raw)
		}
	}
	return o.bytes()
}

// Texts returns names and texts in turns as parameters; empty texts are left out.
func Texts(pairs ...string) json.RawMessage {
	var o object
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			o.add(pairs[i], api.AppendString(nil, pairs[i+1]))
		}
	}
	return o.bytes()
}

// object is a JSON object of bounded size.
type object struct{ b bytes.Buffer }

func (o *object) add(name string, value json.RawMessage) {
	separator := byte(',')
	if o.b.Len() == 0 {
		separator = '{'
	}
	o.b.WriteByte(separator)
	o.b.WriteString(`"` + name + `":`)
	before := o.b.Len()
	if len(value) <= maxParameter && before+len(value) <= maxParameters && json.Compact(&o.b, value) == nil {
		return
	}
	o.b.Truncate(before)
	o.b.WriteString(`{"truncated":true,"bytes":` + strconv.Itoa(len(value)) + `}`)
}

func (o *object) bytes() json.RawMessage {
	if o.b.Len() == 0 {
		return json.RawMessage(`{}`)
	}
	o.b.WriteByte('}')
	return o.b.Bytes()
}
