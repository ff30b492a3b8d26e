package transfer

import (
	"context"
	"iter"

	"jetstream/internal/api"
	"jetstream/triggers"
)

// Tx is what the engine needs of a database transaction. Save methods insert or
// update by id, and set Seq when they insert.
type Tx interface {
	triggers.Tx

	SaveDestination(*Destination) error
	DeleteDestination(destinationID string) error
	// DestinationAt returns the destination of an owner at an address, nil if
	// there is none.
	DestinationAt(owner, address string, port int) (*Destination, error)
	Destination(destinationID string) (*Destination, error)

	SaveManifest(*Manifest) error
	// AddManifestFiles appends entries to the file list. Two directories of the
	// same name become one, with the rights that both have and the later time:
	// merged says how many were not appended, which moves the entries behind
	// them forward. Codes: notFound, conflict when two entries have the same
	// name otherwise, with the sources of both in the message; SentTwiceError
	// when it is one source.
	AddManifestFiles(manifestID string, files []ManifestFile) (merged int64, err error)
	// AddSkippedFiles appends to the list of what the manifest leaves out.
	AddSkippedFiles(manifestID string, skipped []SkippedFile) error
	// ResetManifestFiles gives the manifest an empty file list.
	// PurgeManifestFiles removes the old one.
	ResetManifestFiles(manifestID string) error
	// PurgeManifestFiles removes up to limit entries of file lists that belong
	// to no manifest; more reports whether there are others.
	PurgeManifestFiles(limit int) (more bool, err error)
	DeleteManifest(manifestID string) error
	Manifest(manifestID string) (*Manifest, error)

	SaveTransfer(*Transfer) error
	DeleteTransfer(transferID string) error
	// Transfer returns a transfer, also one that is Deleted.
	Transfer(transferID string) (*Transfer, error)
	// OpenTransfers lists the ids of the unfinished transfers to a destination
	// or of a manifest; the other id is empty.
	OpenTransfers(destinationID, manifestID string) ([]string, error)
	// OpenTransfersOf lists the ids of the unfinished transfers of an owner,
	// oldest first.
	OpenTransfersOf(owner string) ([]string, error)

	// SaveSentSources inserts or replaces, by index, in which state sources of a
	// transfer were read. SentSources lists those from index from to to, both
	// included, in order. DropSentSources removes those from an index on, limit at
	// most; more reports whether there may be others.
	SaveSentSources(seq int64, list []SentSource) error
	SentSources(seq, from, to int64) ([]SentSource, error)
	DropSentSources(seq, from int64, limit int) (more bool, err error)

	// CollectTransfers removes transfers that ended before a time, whose sources are
	// dealt with and of which the receiver need not be notified, limit at most, and returns how many.
	CollectTransfers(before api.Time, limit int) (int, error)
	// CollectManifests removes manifests made before a time that are not
	// pending and that no transfer refers to, limit at most, and returns how
	// many. Their file lists are left to PurgeManifestFiles.
	CollectManifests(before api.Time, limit int) (int, error)
}

// MaxPageBytes is how many bytes of file mappings a page of manifests holds
// before it ends early.
const MaxPageBytes = 8 << 20

// Page selects one page of a list, newest first: entries with a Seq below
// Before, all if that is 0.
type Page struct {
	Owner  string // empty: of all users
	Status Status // empty: in all states
	IDPart string // what the ids begin or end with; empty: anything
	Before int64
	Limit  int
}

// Store is the database as the engine uses it. Reading an object that does not
// exist fails with code notFound. Transfers marked Deleted are left out by every
// method except Runnable: their receivers have yet to be notified.
type Store interface {
	// Update runs fn in one transaction that is on disk when it returns.
	Update(ctx context.Context, fn func(Tx) error) error
	// UpdateNoSync is Update for what survives kill -9 at once, but a power cut
	// only once a later Update has returned.
	UpdateNoSync(ctx context.Context, fn func(Tx) error) error

	Destinations(ctx context.Context, p Page) ([]Destination, error)
	Destination(ctx context.Context, destinationID string) (Destination, error)
	// DestinationAt returns the destination of an owner at an address, nil if
	// there is none.
	DestinationAt(ctx context.Context, owner, address string, port int) (*Destination, error)
	Manifests(ctx context.Context, p Page) ([]Manifest, error)
	Manifest(ctx context.Context, manifestID string) (Manifest, error)
	// PendingManifests lists pending manifests except those with the given ids,
	// oldest first and limit at most.
	PendingManifests(ctx context.Context, except []string, limit int) ([]Manifest, error)
	// NameClash returns a file of the manifest and an entry below it, for which
	// it would have to be a directory; ok is false if there is none.
	NameClash(ctx context.Context, manifestID string) (file, below ManifestFile, ok bool, err error)
	// ManifestFiles lists the entries with Index >= from, in order and limit at
	// most.
	ManifestFiles(ctx context.Context, manifestID string, from int64, limit int) ([]ManifestFile, error)
	// SkippedFiles lists what the manifest leaves out, from Index from, in order
	// and limit at most.
	SkippedFiles(ctx context.Context, manifestID string, from int64, limit int) ([]SkippedFile, error)
	// Transfers lists transfers. Of the fields that are not in replies, such as
	// SealedPassword, it reads only Seq.
	Transfers(ctx context.Context, p Page) ([]Transfer, error)
	Transfer(ctx context.Context, transferID string) (Transfer, error)
	// Runnable lists the transfers that are pending or active, and the ended
	// ones with TellPeer, except those with the given ids, by priority, then
	// age, and limit at most.
	Runnable(ctx context.Context, except []string, limit int) ([]Transfer, error)
	// DeletingSources returns the oldest transfer with DeletingSources, also one
	// that is Deleted; nil if there is none.
	DeletingSources(ctx context.Context) (*Transfer, error)
	// SaveProgress saves FilesSent, BytesSent and BytesSaved, and Grown with what it adds to TotalBytes. It survives kill -9, but not
	// necessarily a power cut.
	SaveProgress(ctx context.Context, t *Transfer) error
}

// RecvFile is one received entry of a transfer.
type RecvFile struct {
	Index   int64
	Name    string // as in the sender's manifest, without destinationPath
	Size    int64
	Mode    uint32
	ModTime int64 // nanoseconds since the Unix epoch
	Dir     bool
	// Skipped reports that the file existed and conflict was skip, or that it
	// failed with onError continue; Error then says why.
	Skipped bool
	Error   string
	// Grown is by how many bytes the file is larger than in the sender's manifest.
	Grown int64
	// Digest is that of the received data, as ALGORITHM:HEX; empty if there are
	// none or they are too many.
	Digest string
	// Final is the final path of the file in the user's API, empty until it is
	// chosen. Real is the same path below Root without links, slash-separated,
	// without a leading slash.
	Final, Real string
	// Placed reports that the file has its final name.
	Placed bool
	// Made reports that the transfer has made this directory, or is about to,
	// and that it has not got its final mode and time yet.
	Made bool
	// Root reports that it is a directory that a source became, in which a mirror
	// removes.
	Root bool
	// Fold is a hash of Real that is the same for all names that some file
	// system takes for one; 0 before Real is chosen.
	Fold int64
}

// RecvSubject returns the subject of a received transfer's file list for
// triggers.Lister.
func RecvSubject(sourcePublicKey, transferID string) string {
	return sourcePublicKey + "/" + transferID
}

// RecvTx is what the receiver needs of a database transaction.
type RecvTx interface {
	triggers.Tx
	SaveRecvTransfer(*RecvTransfer) error
	// RecvTransfer returns the transfer of a key, nil if there is none.
	RecvTransfer(sourcePublicKey, transferID string) (*RecvTransfer, error)
	// SaveRecvFiles inserts or replaces entries by index.
	SaveRecvFiles(sourcePublicKey, transferID string, files []RecvFile) error
	// PlaceRecvFiles sets Placed of the entries from index first to last, both
	// included, that have a final name and are not Skipped.
	PlaceRecvFiles(sourcePublicKey, transferID string, first, last int64) error
	// DropRecvFiles removes the entries from an index on, and returns how many
	// files are left that were received, the sum of their sizes, and that of Grown.
	DropRecvFiles(sourcePublicKey, transferID string, from int64) (files, bytes, grown int64, err error)
	// SaveRemovals inserts or replaces removals by index.
	SaveRemovals(sourcePublicKey, transferID string, list []Removal) error
	// DropRemovals removes the removals of a transfer.
	DropRemovals(sourcePublicKey, transferID string) error
	// CollectRecv removes transfers that ended before a time, and those that
	// were authorized before it and never opened, limit of each at most, and
	// returns how many. It keeps the subjects in except, and transfers whose
	// file list a queued or running trigger run needs. The file lists are left
	// to PurgeRecvFiles.
	CollectRecv(before api.Time, except []string, limit int) (int, error)
	// PurgeRecvFiles removes up to limit entries and removals of transfers that were
	// removed; more reports whether there may be others.
	PurgeRecvFiles(limit int) (more bool, err error)
}

// RecvStore is what the receiver needs of the database.
type RecvStore interface {
	triggers.Lister
	Update(ctx context.Context, fn func(RecvTx) error) error
	// RecvTransfers lists newest first; Page.Owner is the receiving user.
	RecvTransfers(ctx context.Context, p Page) ([]RecvTransfer, error)
	// RecvTransfer returns the newest transfer of that id that username (empty:
	// any user) has authorized; notFound if there is none.
	RecvTransfer(ctx context.Context, transferID, username string) (RecvTransfer, error)
	// RecvFiles lists the entries with Index >= from in order.
	RecvFiles(ctx context.Context, sourcePublicKey, transferID string, from int64) iter.Seq2[RecvFile, error]
	// MadeDirs lists entries with Made and an Index below before, last first and
	// limit at most.
	MadeDirs(ctx context.Context, sourcePublicKey, transferID string, before int64, limit int) ([]RecvFile, error)
	// Folded lists the entries with that Fold in order, limit at most.
	Folded(ctx context.Context, sourcePublicKey, transferID string, fold int64, limit int) ([]RecvFile, error)
	// KnownFiles lists the entries with one of these values of Fold, in any order and limit
	// at most. Of each only Index, Dir, Real and Fold are set.
	KnownFiles(ctx context.Context, sourcePublicKey, transferID string, folds []int64, limit int) ([]RecvFile, error)
	// Removals lists the removals from an index on, in order and limit at most.
	Removals(ctx context.Context, sourcePublicKey, transferID string, from int64, limit int) ([]Removal, error)
	// RecvSince lists the transfers that have not ended, or not before a time.
	RecvSince(ctx context.Context, since api.Time) ([]RecvTransfer, error)
	// RecvCount returns the number of recorded entries, which is the index of
	// the next one, the number of files among them, and the sum of their sizes.
	RecvCount(ctx context.Context, sourcePublicKey, transferID string) (entries, files, bytes int64, err error)
	// Receiving lists the unfinished transfers and the ended ones whose Staging
	// must still be removed.
	Receiving(ctx context.Context) ([]RecvTransfer, error)
	// SaveRecvProgress saves the address of the connection, the times of the last
	// data and of the last interruption. It survives kill -9, but not necessarily a
	// power cut.
	SaveRecvProgress(ctx context.Context, t *RecvTransfer) error
	// SaveRecvCheckpoint saves what is on disk of an entry. It survives kill -9, but
	// a power cut only once a later Update has returned.
	SaveRecvCheckpoint(ctx context.Context, sourcePublicKey, transferID string, c Checkpoint) error
}

// Emitter queues a run of the event's script, if there is one, in the
// transaction that changes the state. *triggers.Engine implements it.
type Emitter interface {
	Queue(tx triggers.Tx, e triggers.Event) error
}
