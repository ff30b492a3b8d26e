package transfer

import "jetstream/internal/api"

// Destination is a receiving server that a user sends to. There is one for each
// owner, address and port.
type Destination struct { //nolint:recvcheck // visible takes values and pointers
	Seq int64 `json:"-"`

	DestinationID        string            `json:"destinationId" doc:"Id of the destination" column:"1"`
	DestinationAddress   string            `json:"destinationAddress" doc:"Host name or IP of the receiver, without the port" column:"2"`
	DestinationPort      int               `json:"destinationPort" doc:"Receive port of the receiver" column:"3"`
	DestinationIP        string            `json:"destinationIP" doc:"IP the address resolved to when the destination was made, or the name itself"`
	DestinationPublicKey string            `json:"destinationPublicKey" doc:"The receiver's public key, given or first seen; empty until then"`
	SendRateMax          int64             `json:"sendRateMax" doc:"Highest send rate in kbit/s; 0 is no limit" unit:"kbit/s"`
	NumTransfersQueued   int               `json:"numTransfersQueued" doc:"Transfers to it that have not ended" column:"4"`
	LastErrorMessage     string            `json:"lastErrorMessage" doc:"Why the last attempt to reach it failed, or empty" column:"below"`
	LastSendTime         api.Time          `json:"lastSendTime" doc:"When something was last sent to it, or null" column:"5"`
	CreateTime           api.Time          `json:"createTime" doc:"When it was made"`
	Owner                string            `json:"owner" doc:"User that made it"`
	UserData             map[string]string `json:"userData" doc:"Data of the user's own"`

	// Destination and Sender are the parameters of the events of destinations.
	// They do not change.
	Destination string `json:"-"`
	Sender      string `json:"-"`
}

// Status is the state of a manifest or transfer.
type Status string

// The states. Manifests are pending, complete or error; sent transfers can have
// all but receiving; received transfers are receiving, complete, error or
// cancelled.
const (
	StatusPending   Status = "pending"
	StatusActive    Status = "active"
	StatusSuspended Status = "suspended"
	StatusReceiving Status = "receiving"
	StatusCancelled Status = "cancelled"
	StatusComplete  Status = "complete"
	StatusError     Status = "error"
)

// Processing reports whether the state is not final.
func (s Status) Processing() bool {
	switch s {
	case StatusPending, StatusActive, StatusSuspended, StatusReceiving:
		return true
	}
	return false
}

// Manifest is a list of files to send, which is made in the background.
type Manifest struct {
	Seq int64 `json:"-"`

	ManifestID string `json:"manifestId" doc:"Id of the manifest" column:"1"`
	Status     Status `json:"status" doc:"pending, complete or error" validate:"oneof=pending complete error" column:"2"`
	Processing bool   `json:"processing" doc:"True while the server still works on it"`
	TotalFiles *int64 `json:"totalFiles" doc:"Number of files, null while pending" column:"3"`
	TotalSize  *int64 `json:"totalSize" doc:"Bytes of all files, null while pending" unit:"bytes" column:"4"`
	// What is skipped for what it is, is never sent and is no error.
	SkippedEntries     *int64            `json:"skippedEntries" doc:"Number of special files, links that lead nowhere or out of the sandbox, part files of arriving transfers and, with onError continue, of what could not be read, which are left out; null while pending"`
	ErrorMessage       *string           `json:"errorMessage" doc:"Why it failed, or null" column:"below"`
	ReadErrors         int64             `json:"readErrors" doc:"How many of the skippedEntries could not be read, with onError continue"`
	FileMappings       map[string]string `json:"fileMappings" doc:"Source paths and the names they get"`
	FileMappingsBase64 map[string]string `json:"fileMappingsBase64,omitempty" doc:"The exact fileMappings, keys and values in base64, where one is not UTF-8"`
	Include            []string          `json:"include" doc:"Patterns of what is sent, whatever exclude says"`
	Exclude            []string          `json:"exclude" doc:"Patterns of what is left out, which is in no count"`
	OnError            string            `json:"onError" doc:"What happens when something cannot be read: stop or continue" validate:"oneof=stop continue"`
	CreateTime         api.Time          `json:"createTime" doc:"When it was requested" column:"5"`
	EndTime            api.Time          `json:"endTime" doc:"When it was complete or failed, or null"`
	Owner              string            `json:"owner" doc:"User that made it"`
	UserData           map[string]string `json:"userData" doc:"Data of the user's own"`

	// Confined is the API path of the directory that the sources must be in
	// (see account.Service.Confined), / for the whole sandbox.
	Confined string `json:"-"`
	// DataSize is TotalSize without the holes of sparse files.
	DataSize int64 `json:"-"`
}

// ManifestFile is one entry of a manifest: a file or a directory. A directory
// comes before what is in it.
type ManifestFile struct {
	// Index is its position in the manifest, from 0 without gaps.
	Index int64
	// Source is the cleaned path in the owner's API. Name is the path at the
	// receiver below destinationPath, in the same form.
	Source, Name string
	Size         int64 // bytes; 0 for a directory
	Mode         uint32
	ModTime      int64 // nanoseconds since the Unix epoch
	Dir          bool
}

// Whether data are compressed.
const (
	CompressionAuto = "auto" // where the link is slower than the processor and the data get smaller
	CompressionNone = "none"
)

// Params are the parameters of send.createTransfer, except the password.
type Params struct {
	ManifestID                 string `json:"manifestId" doc:"What is sent: a manifest that is complete" validate:"required,max=64"`
	DestinationID              string `json:"destinationId" doc:"Where it is sent. Required, but for a dryRun with destinationAddress" validate:"max=64"`
	Username                   string `json:"username" doc:"The receiver's user that authorizes the transfer" validate:"required,max=64"`
	DestinationPath            string `json:"destinationPath" doc:"Directory in the receiving user's sandbox that the files are placed below" default:"/" validate:"max=4096" bytes:"true" column:"4"`
	Priority                   int    `json:"priority" doc:"Lower goes first" default:"100" validate:"min=0,max=1000000"`
	CheckpointFrequencySeconds int    `json:"checkpointFrequencySeconds" doc:"Seconds between durable checkpoints; 0 is none" default:"5" validate:"min=0,max=86400"`
	Conflict                   string `json:"conflict" doc:"What happens when a file exists: changed overwrites it where size or time differ, update where the source is newer" default:"overwrite" validate:"oneof=overwrite changed update skip rename fail"`
	Checksum                   bool   `json:"checksum" doc:"With conflict changed: whether files of the same size are compared by their digests, whatever their times; both ends read these files" default:"false"`
	OnError                    string `json:"onError" doc:"What happens when one file fails" default:"stop" validate:"oneof=stop continue"`
	MirrorParams
	DeleteSource bool              `json:"deleteSource" doc:"Whether source files are removed once the transfer is complete at both ends, each only if it has not changed since it was read; one that was not sent only if its digest was equal, for which conflict changed implies checksum" default:"false"`
	Compression  string            `json:"compression" doc:"auto compresses data that get smaller by it, where the link is slower than the processor" default:"auto" validate:"oneof=auto none"`
	UserData     map[string]string `json:"userData" doc:"Data of the user's own, kept with the transfer" validate:"max=64"`
}

// Transfer is a transfer as its sender keeps it.
type Transfer struct { //nolint:recvcheck // visible takes values and pointers
	Seq int64 `json:"-"`

	TransferID string `json:"transferId" doc:"Id of the transfer, the same at both ends" column:"1"`
	Params
	DestinationPathBase64 string   `json:"destinationPathBase64,omitempty" doc:"The exact destinationPath in base64, where it is not UTF-8"`
	DestinationAddress    string   `json:"destinationAddress" doc:"Host of the receiver" column:"3"`
	DestinationPort       int      `json:"destinationPort" doc:"Receive port of the receiver"`
	Status                Status   `json:"status" doc:"pending, active, suspended, cancelled, complete or error" validate:"oneof=pending active suspended cancelled complete error" column:"2"`
	Processing            bool     `json:"processing" doc:"True until it has ended"`
	ErrorMessage          string   `json:"errorMessage" doc:"Why it failed, or why it waits; of a complete one, what the receiver could not keep; else empty" column:"below"`
	TotalFiles            int64    `json:"totalFiles" doc:"Number of files"`
	TotalBytes            int64    `json:"totalBytes" doc:"Bytes of all files" unit:"bytes" column:"6"`
	FilesSent             int64    `json:"filesSent" doc:"Files the receiver has confirmed"`
	BytesSent             int64    `json:"bytesSent" doc:"Bytes the receiver has confirmed" unit:"bytes" column:"5"`
	FilesUnchanged        int64    `json:"filesUnchanged" doc:"Files that the receiver has already and keeps by the rule of conflict, as far as it has said so since this server has started; of a complete transfer all of them"`
	BytesUnchanged        int64    `json:"bytesUnchanged" doc:"Bytes of these" unit:"bytes"`
	BytesSaved            int64    `json:"bytesSaved" doc:"Bytes that compression has kept off the network" unit:"bytes"`
	RemovedFiles          int64    `json:"removedFiles" doc:"Files and links that the receiver has removed for mirror"`
	DeletingSources       bool     `json:"deletingSources" doc:"True while the sources of a transfer with deleteSource that has ended are still being removed"`
	SourcesDeleted        int64    `json:"sourcesDeleted" doc:"Source files that were removed"`
	SourcesKept           int64    `json:"sourcesKept" doc:"Source files of a complete transfer with deleteSource that were not removed"`
	SourcesMessage        string   `json:"sourcesMessage" doc:"Why the first of them was not removed, or empty"`
	Rate                  float64  `json:"rate" doc:"Present rate in kbit/s" unit:"kbit/s" column:"7"`
	EtaSeconds            *int64   `json:"etaSeconds" doc:"Seconds until the end at the present rate, or null" unit:"seconds" column:"8"`
	RequestTime           api.Time `json:"requestTime" doc:"When it was requested"`
	StartTime             api.Time `json:"startTime" doc:"When the first connection was made, or null"`
	EndTime               api.Time `json:"endTime" doc:"When it ended, or null"`
	NextAttemptTime       api.Time `json:"nextAttemptTime" doc:"When a pending one that waits is tried again, or null"`
	SnapshotTime          api.Time `json:"snapshotTime" doc:"When these numbers were taken"`
	Owner                 string   `json:"owner" doc:"User that made it"`

	// SealedPassword is the encrypted remote password. It is erased when it is
	// traded for Ticket or the transfer ends.
	SealedPassword []byte `json:"-"`
	// Ticket authorizes this server to continue the transfer at the receiver.
	Ticket []byte `json:"-"`
	// PublicKey is the public key of the receiver at the last connection.
	PublicKey string `json:"-"`
	// TellPeer reports that the receiver must still be notified of a
	// cancellation or failure.
	TellPeer bool `json:"-"`
	// Deleted hides the transfer until the receiver is notified of its end;
	// then it is removed.
	Deleted bool `json:"-"`
	// RequestID and Depth are those of the API call that has made it.
	RequestID string `json:"-"`
	Depth     int    `json:"-"`
	// SourcesNext is the index of the next entry of the manifest whose source is to be
	// removed.
	SourcesNext int64 `json:"-"`
	// DataBytes is the bytes of the manifest without the holes of sparse files.
	DataBytes int64 `json:"-"`
	// Grown is by how many bytes the files are larger than in the manifest, since they
	// changed afterwards. TotalBytes has it in it.
	Grown int64 `json:"-"`
}

// RecvTransfer is a transfer as its receiver keeps it. There is one for each
// SourcePublicKey and TransferID.
type RecvTransfer struct {
	Seq int64 `json:"-"`

	TransferID            string   `json:"transferId" doc:"Id of the transfer, the same at both ends" column:"1"`
	Username              string   `json:"username" doc:"User that authorized it here"`
	DestinationPath       string   `json:"destinationPath" doc:"Directory in the user's sandbox that the files are placed below" column:"4"`
	DestinationPathBase64 string   `json:"destinationPathBase64,omitempty" doc:"The exact destinationPath in base64, where it is not UTF-8"`
	Status                Status   `json:"status" doc:"receiving, complete, error or cancelled" validate:"oneof=receiving complete error cancelled" column:"2"`
	Processing            bool     `json:"processing" doc:"True until it has ended"`
	ErrorMessage          string   `json:"errorMessage" doc:"Why it failed, or why it waits; of a complete one, what could not be kept; else empty" column:"below"`
	TotalFiles            int64    `json:"totalFiles" doc:"Number of files"`
	TotalSize             int64    `json:"totalSize" doc:"Bytes of all files" unit:"bytes" column:"6"`
	FilesReceived         int64    `json:"filesReceived" doc:"Files received and verified"`
	BytesReceived         int64    `json:"bytesReceived" doc:"Bytes received and verified" unit:"bytes" column:"5"`
	RemovedFiles          int64    `json:"removedFiles" doc:"Files and links that were removed here, with mirror"`
	Rate                  float64  `json:"rate" doc:"Present rate in kbit/s" unit:"kbit/s" column:"7"`
	SourceIP              string   `json:"sourceIP" doc:"Address of the sending server" column:"3"`
	SourcePort            int      `json:"sourcePort" doc:"Port of the sending server's connection"`
	SourcePublicKey       string   `json:"sourcePublicKey" doc:"The sending server's public key"`
	StartTime             api.Time `json:"startTime" doc:"When it was authorized"`
	LastRecvTime          api.Time `json:"lastRecvTime" doc:"When something last arrived, or null"`
	LastErrorTime         api.Time `json:"lastErrorTime" doc:"When it was last interrupted, or null; not by itself a failure"`
	EndTime               api.Time `json:"endTime" doc:"When it ended, or null"`

	// TicketHash has the SHA-256 of each of the last tickets given to the sender,
	// the newest last.
	TicketHash []byte `json:"-"`
	// TokenID is the id of the API token that authorized it; empty: a password did.
	TokenID string `json:"-"`
	// Confined is the directory of the sandbox that it must be placed in; / or empty
	// is all of it.
	Confined string `json:"-"`
	// Conflict and OnError are parameters of the sender; empty until it has
	// opened the transfer.
	Conflict string `json:"-"`
	OnError  string `json:"-"`
	// Root is the absolute path of the sandbox.
	Root string `json:"-"`
	// Staging is the path of the directory with the part files below Root,
	// slash-separated; empty if there is none.
	Staging string `json:"-"`
	// Partial is the last checkpoint.
	Partial Checkpoint `json:"-"`
	// Grown is by how many bytes the recorded files are larger than in the sender's
	// manifest, since they changed afterwards. TotalSize has it in it.
	Grown int64 `json:"-"`
	// Finishing reports that all entries are recorded and the files get their
	// final names.
	Finishing bool `json:"-"`
	// Mirror is nil if nothing is to be removed.
	Mirror *Mirror `json:"-"`
}

// Checkpoint says that the first Offset bytes of an entry are on disk; there are none
// if that is 0. They are of a file with this size and modification time.
type Checkpoint struct {
	Index, Offset, Size int64
	ModTime             int64  // nanoseconds since the Unix epoch
	Rest                string // digest of those of the bytes that fill no block, whose hashes are beside the part file
}

// visible returns an object that was loaded, or why it could not be. An object
// that the caller may not see and change is notFound, as if it did not exist.
func visible[T interface {
	identity() (owner, kind, id string)
}](caller api.Caller, object T, err error) (T, error) {
	if err == nil {
		err = caller.CheckOwner(object.identity())
	}
	if err != nil {
		var none T
		return none, err
	}
	return object, nil
}

func (d Destination) identity() (owner, kind, id string) {
	return d.Owner, "destination", d.DestinationID
}
func (m Manifest) identity() (owner, kind, id string) { return m.Owner, "manifest", m.ManifestID }
func (t Transfer) identity() (owner, kind, id string) { return t.Owner, "transfer", t.TransferID }
