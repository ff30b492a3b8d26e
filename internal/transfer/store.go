package transfer

import (
	"context"
	"iter"

	"jetstream/internal/api"
	"jetstream/triggers"
)

// Tx is a database transaction as the engine needs it. Saving is
// insert-or-update by id and sets Seq on insert.
type Tx interface {
	triggers.Tx

	SaveDestination(*Destination) error
	DeleteDestination(destinationID string) error
	// DestinationAt finds a destination by its natural key, nil when there is none.
	DestinationAt(owner, address string, port int) (*Destination, error)
	Destination(destinationID string) (*Destination, error)

	SaveManifest(*Manifest) error
	// AddManifestFiles appends a page of the file list. Two entries of one
	// name are a conflict that names both sources; a manifest that is gone is
	// notFound.
	AddManifestFiles(manifestID string, files []ManifestFile) error
	// ResetManifestFiles gives the manifest an empty file list; the entries of
	// the old one are left for PurgeManifestFiles.
	ResetManifestFiles(manifestID string) error
	// PurgeManifestFiles removes up to limit entries that belong to no
	// manifest any more, so that no transaction is long; more tells that
	// some are left.
	PurgeManifestFiles(limit int) (more bool, err error)
	DeleteManifest(manifestID string) error
	Manifest(manifestID string) (*Manifest, error)

	SaveTransfer(*Transfer) error
	DeleteTransfer(transferID string) error
	// Transfer finds one, also when it is Deleted.
	Transfer(transferID string) (*Transfer, error)
	// OpenTransfers lists the ids of unfinished transfers that use a
	// destination or a manifest (the other one empty).
	OpenTransfers(destinationID, manifestID string) ([]string, error)
	// OpenTransfersOf lists the ids of the unfinished transfers of an owner,
	// oldest first.
	OpenTransfersOf(owner string) ([]string, error)

	// CollectTransfers removes transfers that ended before a time and whose
	// receiver knows, limit at most, and tells how many.
	CollectTransfers(before api.Time, limit int) (int, error)
	// CollectManifests removes manifests made before a time that are not being
	// walked and that no transfer refers to, limit at most. Their entries are
	// left for PurgeManifestFiles.
	CollectManifests(before api.Time, limit int) (int, error)
}

// MaxPageBytes ends a page of manifests early: it is how many bytes of file
// mappings one page holds before its last entry.
const MaxPageBytes = 8 << 20

// Page selects one page of a list, newest first: entries with a Seq below
// Before (0: from the newest).
type Page struct {
	Owner  string // empty: everybody's
	Status Status // empty: every state
	Before int64
	Limit  int
}

// Store is what destinations, manifests and sent transfers need of the
// database. Getters answer a notFound error that names the object; but for
// Runnable, none shows a transfer that is Deleted.
type Store interface {
	// Update runs fn in one transaction that is on disk when it returns.
	Update(ctx context.Context, fn func(Tx) error) error

	Destinations(ctx context.Context, p Page) ([]Destination, error)
	Destination(ctx context.Context, destinationID string) (Destination, error)
	// DestinationAt finds a destination by its natural key, nil when there is none.
	DestinationAt(ctx context.Context, owner, address string, port int) (*Destination, error)
	Manifests(ctx context.Context, p Page) ([]Manifest, error)
	Manifest(ctx context.Context, manifestID string) (Manifest, error)
	// PendingManifests lists manifests that are to be walked, oldest first;
	// limit at most, those in except left out.
	PendingManifests(ctx context.Context, except []string, limit int) ([]Manifest, error)
	// NameClash finds a file of the manifest whose name another entry needs as
	// a directory; ok is false when there is none.
	NameClash(ctx context.Context, manifestID string) (file, below ManifestFile, ok bool, err error)
	// ManifestFiles lists entries with Index >= from, in order, limit at most.
	ManifestFiles(ctx context.Context, manifestID string, from int64, limit int) ([]ManifestFile, error)
	// Transfers lists what callers see of transfers: nothing in them that no
	// reply shows, such as SealedPassword, is filled in but Seq.
	Transfers(ctx context.Context, p Page) ([]Transfer, error)
	Transfer(ctx context.Context, transferID string) (Transfer, error)
	// Runnable lists transfers that are pending or active, and ended ones whose
	// receiver must still be told, by priority, then age; limit at most, those
	// in except left out.
	Runnable(ctx context.Context, except []string, limit int) ([]Transfer, error)
	// SaveProgress keeps FilesSent, BytesSent; it survives kill -9, not
	// necessarily a power cut.
	SaveProgress(ctx context.Context, t *Transfer) error
}

// RecvFile is one received entry of a transfer.
type RecvFile struct {
	Index    int64
	Name     string // as in the sender's manifest, without destinationPath
	Size     int64
	Mode     uint32
	ModTime  int64 // nanoseconds since the Unix epoch
	EmptyDir bool
	// Skipped tells that the file existed and conflict was skip, or that it
	// failed with onError continue (then Error says why).
	Skipped bool
	Error   string
	// Final is the path that the file got as the user's API sees it, chosen
	// before the rename; empty until then. Real is the same place below Root
	// with links resolved, slash-separated, without a leading slash.
	Final, Real string
	// Placed tells that the rename was done.
	Placed bool
}

// RecvSubject is the key under which the file list of a received transfer is
// found by triggers.Lister.
func RecvSubject(sourcePublicKey, transferID string) string {
	return sourcePublicKey + "/" + transferID
}

// RecvTx is a database transaction as the receiver needs it.
type RecvTx interface {
	triggers.Tx
	SaveRecvTransfer(*RecvTransfer) error
	// RecvTransfer finds one by its key, nil when there is none.
	RecvTransfer(sourcePublicKey, transferID string) (*RecvTransfer, error)
	// SaveRecvFiles inserts or replaces entries by index.
	SaveRecvFiles(sourcePublicKey, transferID string, files []RecvFile) error
	// CollectRecv removes transfers that ended before a time, and those that
	// were authorized before it and never opened, but for the subjects in
	// except; limit of each at most. What a queued or running trigger run
	// needs the file list of stays. The entries are left for PurgeRecvFiles.
	CollectRecv(before api.Time, except []string, limit int) (int, error)
	// PurgeRecvFiles removes up to limit entries of transfers that are gone;
	// more tells that some may be left.
	PurgeRecvFiles(limit int) (more bool, err error)
}

// RecvStore is what received transfers need of the database.
type RecvStore interface {
	triggers.Lister
	Update(ctx context.Context, fn func(RecvTx) error) error
	// RecvTransfers lists newest first; Page.Owner is the receiving user.
	RecvTransfers(ctx context.Context, p Page) ([]RecvTransfer, error)
	// RecvTransfer finds the newest with that id which username (empty:
	// anybody) may see; notFound otherwise.
	RecvTransfer(ctx context.Context, transferID, username string) (RecvTransfer, error)
	// RecvFiles lists entries with Index >= from in order.
	RecvFiles(ctx context.Context, sourcePublicKey, transferID string, from int64) iter.Seq2[RecvFile, error]
	// RecvCount tells how many entries are recorded, which is the index to go
	// on with, how many of them are files, and the sum of their sizes.
	RecvCount(ctx context.Context, sourcePublicKey, transferID string) (entries, files, bytes int64, err error)
	// Receiving lists the unfinished ones and the ended ones whose Staging must
	// still be removed (after a restart).
	Receiving(ctx context.Context) ([]RecvTransfer, error)
	// SaveRecvProgress keeps the connection's address, the counts and the
	// times of the last data and the last interruption; it survives kill -9,
	// not necessarily a power cut.
	SaveRecvProgress(ctx context.Context, t *RecvTransfer) error
}

// Emitter queues the run of an event's script in the transaction that changes
// the state, if a script of its name exists. *triggers.Engine is one.
type Emitter interface {
	Queue(tx triggers.Tx, e triggers.Event) error
}
