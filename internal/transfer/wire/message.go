package wire

import (
	"encoding/json"
	"unicode/utf8"

	"jetstream/internal/api"
)

// Hello is the first message of both ends. A later version may add fields.
type Hello struct {
	MinVersion int    `json:"minVersion"`
	MaxVersion int    `json:"maxVersion"`
	ServerUID  string `json:"serverUid"`
	Software   string `json:"software"`
}

// Login asks for a ticket.
type Login struct {
	TransferID string `json:"transferId"`
	Username   string `json:"username"`
	Password   string `json:"password"`
}

// Ticket answers Login.
type Ticket struct {
	Ticket []byte `json:"ticket"`
}

// Open begins or goes on with a transfer.
type Open struct {
	TransferID      string `json:"transferId"`
	Ticket          []byte `json:"ticket"`
	TotalFiles      int64  `json:"totalFiles"` // empty directories do not count
	TotalBytes      int64  `json:"totalBytes"`
	DestinationPath Name   `json:"destinationPath"`
	Conflict        string `json:"conflict"`
	OnError         string `json:"onError"`
	// CheckpointSeconds is how often the receiver shall make partly received
	// files durable; 0 is never.
	CheckpointSeconds int `json:"checkpointFrequencySeconds"`
}

// Resume answers Open: the entry and the offset in it to go on with. When all
// entries are there, or the transfer has ended, an Outcome comes instead.
type Resume struct {
	Index  int64 `json:"index"`
	Offset int64 `json:"offset"`
	// Files and Bytes are confirmed already.
	Files int64 `json:"files"`
	Bytes int64 `json:"bytes"`
	// AnswersSkip tells that a Skip comes for every page of entries.
	AnswersSkip bool `json:"answersSkip"`
}

// Entry is one line of the file list. Its index follows from its place.
type Entry struct {
	Name     Name   `json:"name"` // slash-separated, beginning with /
	Size     int64  `json:"size"`
	Mode     uint32 `json:"mode"`
	ModTime  int64  `json:"mtime"` // nanoseconds since the Unix epoch
	EmptyDir bool   `json:"dir,omitempty"`
}

// Entries is a page of the file list.
type Entries struct {
	From    int64   `json:"from"` // index of the first
	Entries []Entry `json:"entries"`
}

// Skip answers Entries in a transfer whose Resume said so: which of the
// page's entries shall not be sent.
type Skip struct {
	From    int64   `json:"from"`
	Indices []int64 `json:"indices"`
}

// Progress tells what is confirmed: verified and on disk.
type Progress struct {
	Files     int64 `json:"files"`
	Bytes     int64 `json:"bytes"`
	Finishing bool  `json:"finishing"` // everything is there and gets its final name
}

// Outcome is how the transfer ended at the receiver.
type Outcome struct {
	Status  string `json:"status"` // complete, error or cancelled
	Message string `json:"message"`
	Files   int64  `json:"files"`
	Bytes   int64  `json:"bytes"`
}

// Cancel tells that the sender gave the transfer up.
type Cancel struct {
	TransferID string `json:"transferId"`
	Ticket     []byte `json:"ticket"`
	Status     string `json:"status"` // cancelled or error
	Message    string `json:"message"`
}

// FileGone tells that one file could not be read at the sender (onError
// continue): what came of it is dropped.
type FileGone struct {
	Index   int64  `json:"index"`
	Message string `json:"message"`
}

// Failure ends the connection and says why.
type Failure struct {
	Code    api.Code `json:"code"`
	Message string   `json:"message"`
	// RetryAfterSeconds comes with tooManyRequests.
	RetryAfterSeconds int `json:"retryAfterSeconds,omitempty"`
}

// Name is a path that need not be UTF-8: such a one is written as
// {"base64": "..."} so that its bytes arrive exactly.
type Name string

type rawName struct {
	Base64 []byte `json:"base64"`
}

// MarshalJSON writes a string, or an object where that would lose bytes.
func (n Name) MarshalJSON() ([]byte, error) {
	if !utf8.ValidString(string(n)) {
		return json.Marshal(rawName{[]byte(n)})
	}
	return json.Marshal(string(n))
}

// UnmarshalJSON reads what MarshalJSON writes.
func (n *Name) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '{' {
		var raw rawName
		if err := json.Unmarshal(b, &raw); err != nil {
			return err
		}
		*n = Name(raw.Base64)
		return nil
	}
	return json.Unmarshal(b, (*string)(n))
}
