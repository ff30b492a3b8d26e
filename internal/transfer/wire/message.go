package wire

import (
	"encoding/json"
	"unicode/utf8"

	"jetstream/internal/api"
)

// Hello is the first message of both ends. Later versions may add fields.
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

// Ticket answers Login. It is valid until the transfer ends, also after further
// logins for the same transfer, which may have been delayed on their way.
type Ticket struct {
	Ticket []byte `json:"ticket"`
	// Username is the name in the login as the account itself writes it.
	Username string `json:"username"`
}

// Open begins or continues a transfer.
type Open struct {
	TransferID string `json:"transferId"`
	// Ticket is that of the Login before it on the same connection if it is empty, so
	// that Open need not wait for the answer to Login.
	Ticket []byte `json:"ticket"`
	// TotalFiles and TotalBytes are those of the list as it was made, without
	// Entry.Grown and FileChanged. Every Open of the transfer has the same.
	TotalFiles      int64  `json:"totalFiles"` // directories do not count
	TotalBytes      int64  `json:"totalBytes"`
	DataBytes       int64  `json:"dataBytes"` // TotalBytes without holes; 0 is not known
	DestinationPath Name   `json:"destinationPath"`
	Conflict        string `json:"conflict"`
	OnError         string `json:"onError"`
	// Checksum, only with the conflict changed, is whether files of the same size
	// are compared by digests.
	Checksum bool `json:"checksum"`
	// CheckpointSeconds is how often the receiver makes partly received files
	// durable; 0 is never.
	CheckpointSeconds int `json:"checkpointFrequencySeconds"`
	// Lanes is how many lanes the sender would use at most.
	Lanes int `json:"lanes"`
	// Mirror is nil if nothing is to be removed. What the first Open of the transfer
	// says of it counts.
	Mirror *Mirror `json:"mirror,omitempty"`
}

// Mirror asks the receiver to remove, once all files are placed, what is in the
// directories with Entry.Root and not in the list. It is not for the conflict rename.
type Mirror struct {
	// MaxDelete is how many files, links and directories may be removed. If there are
	// more, none is.
	MaxDelete int64 `json:"maxDelete"`
	// Age is how long ago, when this message was written, the sender began to make the
	// list, in microseconds. What has changed at the receiver since then stays.
	Age int64 `json:"age"`
	// Include and Exclude are the patterns that the list was made by: see package
	// filter. What they leave out stays.
	Include []string `json:"include,omitempty"`
	Exclude []string `json:"exclude,omitempty"`
	// Fault says why nothing may be removed, such as that a directory could not be
	// read; empty if nothing stands against it.
	Fault string `json:"fault,omitempty"`
}

// DryRun asks, in place of Login and Open, what the receiver would do with a list:
// nothing is kept of it. The ids, the ticket and the lanes in Open do not count. It is
// answered by a Resume from the beginning, without Session and Lanes.
type DryRun struct {
	Username string `json:"username"`
	Password string `json:"password"`
	Open     Open   `json:"open"`
}

// Refused is the answer to an entry of a dry run that the receiver would refuse, in
// ascending order, before the Skip of its page, which has the entry too. Of many the
// later ones come without a message.
type Refused struct {
	Index   int64  `json:"index"`
	Message string `json:"message"`
}

// Removal names, in a dry run with Open.Mirror, what would be removed, before Outcome. Of
// much only the first entries are named, in one message or several.
type Removal struct {
	Entries []Removed `json:"entries"`
	// Count is how many there are, in the last message.
	Count int64 `json:"count"`
	// Fault says why they would not be removed, in the last message; empty if they
	// would.
	Fault string `json:"fault,omitempty"`
}

// Removed is an entry that would be removed.
type Removed struct {
	Name Name  `json:"name"` // as in Entry
	Dir  bool  `json:"dir,omitempty"`
	Size int64 `json:"size"` // 0 for a directory
}

// Resume answers Open: the entry and the offset in it to continue with. If all
// entries have arrived or the transfer has ended, the answer is an Outcome.
type Resume struct {
	Index  int64 `json:"index"`
	Offset int64 `json:"offset"`
	// Size and ModTime are those of the file that the bytes before Offset are of.
	// They count only if the entry is announced with the same.
	Size    int64 `json:"size"`
	ModTime int64 `json:"mtime"`
	// Grown is the sum of the Grown of the entries before Index.
	Grown int64 `json:"grown"`
	// Files and Bytes are already confirmed.
	Files int64 `json:"files"`
	Bytes int64 `json:"bytes"`
	// AnswersSkip reports that the receiver answers each page of entries by a
	// Skip.
	AnswersSkip bool `json:"answersSkip"`
	// Session is the secret with which lanes join, Lanes how many may at a time.
	Session []byte `json:"session"`
	Lanes   int    `json:"lanes"`
}

// Join makes a connection a lane of the transfer that was opened on another one.
type Join struct {
	TransferID string `json:"transferId"`
	Session    []byte `json:"session"`
}

// Entry is one entry of the file list. Its index is its position. A directory
// comes before what is in it; the one of the name / is that which the transfer
// is placed in.
type Entry struct {
	Name    Name   `json:"name"` // slash-separated, beginning with /
	Size    int64  `json:"size"`
	Mode    uint32 `json:"mode"`
	ModTime int64  `json:"mtime"` // nanoseconds since the Unix epoch
	Dir     bool   `json:"dir,omitempty"`
	// Grown is by how many bytes Size is larger than when the list was made, where
	// the sender knows at once that the file has changed.
	Grown int64 `json:"grown,omitempty"`
	// Root, only with Open.Mirror, is whether it is a directory that a source became.
	Root bool `json:"root,omitempty"`
}

// Entries is a page of the file list.
type Entries struct {
	From    int64   `json:"from"` // index of the first
	Entries []Entry `json:"entries"`
}

// Skip answers Entries if Resume has announced it: it lists the entries of the
// page that must not be sent.
type Skip struct {
	From    int64   `json:"from"`
	Indices []int64 `json:"indices"`
}

// MaxCompare is how many entries one Compare names at most, and how far apart their
// indices are.
const MaxCompare = 500

// Compare asks for the digests of files that the receiver has in the same size, with
// Open.Checksum. It comes after the Entries that name them and before the Skip.
type Compare struct {
	// Algorithm is the name of a digest: see package digest.
	Algorithm string `json:"algorithm"`
	// Indices are those of files of one page, ascending, also from one Compare to
	// the next.
	Indices []int64 `json:"indices"`
}

// Digests answers Compare: digests in lower-case hexadecimal, in the order in which
// they were asked for. There may be several for one Compare. One is empty where the
// sender cannot read the file as it was announced; the receiver then wants it.
type Digests struct {
	Digests []string `json:"digests"`
}

// Progress is what is confirmed: verified and on disk.
type Progress struct {
	Files     int64 `json:"files"`
	Bytes     int64 `json:"bytes"`
	Finishing bool  `json:"finishing"` // all files have arrived and get their final names
	Grown     int64 `json:"grown"`     // as in Outcome, of the entries announced so far
}

// Outcome is the end of the transfer at the receiver.
type Outcome struct {
	Status  string `json:"status"` // complete, error or cancelled
	Message string `json:"message"`
	// Files and Bytes were received, the skipped ones existed at the receiver.
	// If the transfer is complete their sums are its totals.
	Files        int64 `json:"files"`
	Bytes        int64 `json:"bytes"`
	SkippedFiles int64 `json:"skippedFiles"`
	SkippedBytes int64 `json:"skippedBytes"`
	// Grown is by how many bytes the files, also skipped ones, are larger than
	// Open.TotalBytes.
	Grown int64 `json:"grown"`
	// Removed is how many files and links were removed, with Open.Mirror.
	Removed int64 `json:"removed"`
}

// Cancel reports that the sender has cancelled the transfer or given it up.
type Cancel struct {
	TransferID string `json:"transferId"`
	Ticket     []byte `json:"ticket"`
	Status     string `json:"status"` // cancelled or error
	Message    string `json:"message"`
}

// FileGone reports that a file could not be read at the sender, with onError
// continue. The receiver discards what it has of the file.
type FileGone struct {
	Index   int64  `json:"index"`
	Message string `json:"message"`
}

// FileChanged reports that a file is no longer what was announced: it is sent anew,
// from its beginning. Version is 1 at the first change of an entry in a session, then
// 2, up to MaxChanges. The sender sends no data of the new version before the
// receiver has answered with FileExpected.
type FileChanged struct {
	Index   int64  `json:"index"`
	Size    int64  `json:"size"`
	Mode    uint32 `json:"mode"`
	ModTime int64  `json:"mtime"`
	Version int    `json:"version"`
}

// FileExpected answers FileChanged. Version is that of the message: the receiver has
// discarded what it had of the file, and passes over what comes of former versions.
// Or it is one less: the receiver has the whole former version, keeps it, and the file
// must not be sent again. There is no answer, and the same holds, if the receiver has
// everything and Outcome is on its way.
type FileExpected struct {
	Index   int64 `json:"index"`
	Version int   `json:"version"`
}

// Failure is the reason why the connection is closed.
type Failure struct {
	Code    api.Code `json:"code"`
	Message string   `json:"message"`
	// RetryAfterSeconds is set with the code tooManyRequests.
	RetryAfterSeconds int `json:"retryAfterSeconds,omitempty"`
}

// Name is a path that need not be UTF-8. One that is not is encoded as
// {"base64": "..."}.
type Name string

type rawName struct {
	Base64 []byte `json:"base64"`
}

// MarshalJSON encodes the name as a string, or as an object if it is not UTF-8.
func (n Name) MarshalJSON() ([]byte, error) {
	if !utf8.ValidString(string(n)) {
		return json.Marshal(rawName{[]byte(n)})
	}
	return json.Marshal(string(n))
}

// UnmarshalJSON decodes what MarshalJSON has encoded.
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
