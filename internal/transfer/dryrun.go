package transfer

import (
	"context"
	"errors"

	"jetstream/internal/api"
)

// CreatedTransfer is the answer to send.createTransfer.
type CreatedTransfer struct {
	Transfer
	Plan *Plan `json:"plan,omitempty" doc:"With dryRun: what would be sent. The transfer is not made then: its transferId is empty"`
}

// Plan is what a dry run has found out.
type Plan struct {
	DestinationPublicKey string        `json:"destinationPublicKey" doc:"The key of the receiver that has answered, which is kept only where a destination has it already"`
	FilesToSend          int64         `json:"filesToSend" doc:"Files that would be sent"`
	BytesToSend          int64         `json:"bytesToSend" doc:"Bytes of these" unit:"bytes"`
	UnchangedFiles       int64         `json:"unchangedFiles" doc:"Files that the receiver has, and would keep by the rule of conflict"`
	UnchangedBytes       int64         `json:"unchangedBytes" doc:"Bytes of these" unit:"bytes"`
	RefusedEntries       int64         `json:"refusedEntries" doc:"Files and directories that the receiver would refuse. With onError stop the first of them ends a transfer"`
	Files                []PlannedFile `json:"files" doc:"The first 1,000 files that would be sent, in the order of the manifest"`
	MoreFiles            bool          `json:"moreFiles" doc:"Whether there are more of them"`
	Refused              []RefusedFile `json:"refused" doc:"The first 1,000 entries that would be refused"`
	MoreRefused          bool          `json:"moreRefused" doc:"Whether there are more of them"`
	EntriesToRemove      int64         `json:"entriesToRemove" doc:"With mirror: files, links and directories that the receiver has and the manifest has not"`
	Removed              []RemovedFile `json:"removed" doc:"The first 1,000 of them"`
	MoreRemoved          bool          `json:"moreRemoved" doc:"Whether there are more of them"`
	RemovalFault         string        `json:"removalFault" doc:"Why the mirror would remove none of them, such as that they are more than maxDelete; else empty"`
}

// PlannedFile is a file that would be sent.
type PlannedFile struct {
	DestPath       string `json:"destPath" doc:"Name at the receiver, below destinationPath"`
	DestPathBase64 string `json:"destPathBase64,omitempty" doc:"The exact destPath in base64, where it is not UTF-8"`
	FileSize       int64  `json:"fileSize" doc:"Bytes" unit:"bytes"`
}

// RefusedFile is an entry that would be refused.
type RefusedFile struct {
	DestPath       string `json:"destPath" doc:"Name at the receiver, below destinationPath"`
	DestPathBase64 string `json:"destPathBase64,omitempty" doc:"The exact destPath in base64, where it is not UTF-8"`
	Reason         string `json:"reason" doc:"Why the receiver would refuse it"`
}

// RemovedFile is a file, link or directory that would be removed.
type RemovedFile struct {
	DestPath       string `json:"destPath" doc:"Name at the receiver, below destinationPath"`
	DestPathBase64 string `json:"destPathBase64,omitempty" doc:"The exact destPath in base64, where it is not UTF-8"`
	IsDir          bool   `json:"isDir" doc:"Whether it is a directory"`
	FileSize       int64  `json:"fileSize" doc:"Bytes; 0 for a directory" unit:"bytes"`
}

// DryRunParams are the parameters of a dry run alone. A nil field was not given.
type DryRunParams struct {
	DryRun         bool    `json:"dryRun" doc:"Whether to ask the receiver what would be sent, in plan, and send, make and keep nothing. The login, conflict, checksum and the names are checked as for a transfer" default:"false"`
	Address        *string `json:"destinationAddress" doc:"With dryRun, in place of destinationId: host name or IP of the receiver, or either with its receive port" validate:"omitempty,max=300"`
	Port           *int    `json:"destinationPort" doc:"With destinationAddress: its receive port, where that names none" default:"8887" validate:"omitempty,min=1,max=65535"`
	PublicKey      *string `json:"destinationPublicKey" doc:"With destinationAddress: the receiver's publicKey, without which no password is sent; else the key that a destination of that address has, or any" validate:"omitempty,max=64"`
	TimeoutSeconds int     `json:"timeoutSeconds" doc:"With dryRun: how long it may take, in seconds" default:"60" validate:"min=1,max=600"`
}

// Check checks that there is one receiver, and that what is for a dry run is given with
// one alone. Codes: invalid.
func (d *DryRunParams) Check(destinationID string) error {
	for _, p := range []struct {
		name  string
		given bool
	}{
		{"destinationAddress", d.Address != nil},
		{"destinationPort", d.Port != nil},
		{"destinationPublicKey", d.PublicKey != nil},
	} {
		switch {
		case !p.given:
		case !d.DryRun:
			return invalidField(p.name, "dryRun", "%s is for a dryRun only: give destinationId", p.name)
		case destinationID != "":
			return invalidField(p.name, "destinationId", "%s is in place of destinationId: give one of them", p.name)
		case d.Address == nil:
			return invalidField(p.name, "destinationAddress", "%s is only for destinationAddress: give that too", p.name)
		}
	}
	switch {
	case destinationID != "" || d.Address != nil:
		return nil
	case d.DryRun:
		return invalidField("destinationId", "required", "destinationId or destinationAddress is required")
	}
	return invalidField("destinationId", "required", "destinationId is required")
}

// DryRun returns the transfer that CreateTransfer would make, and makes nothing. It
// has no id and no password; its PublicKey is the one that the receiver must have,
// empty if none is known. Codes: those of CreateTransfer.
func (e *Engine) DryRun(ctx context.Context, caller api.Caller, p Params, d DryRunParams, password string) (Transfer, error) {
	if err := d.Check(p.DestinationID); err != nil {
		return Transfer{}, err
	}
	if err := p.check(password); err != nil {
		return Transfer{}, err
	}
	m, err := e.Manifest(ctx, caller, p.ManifestID)
	if err != nil {
		return Transfer{}, err
	}
	if err := errors.Join(sendable(caller, &m), p.checkMirrored(&m)); err != nil {
		return Transfer{}, err
	}
	t := Transfer{Params: p, DestinationPathBase64: api.Base64Unless(p.DestinationPath), Status: StatusPending, SnapshotTime: api.Now()}
	describe(&t, &m)
	to, err := e.receiverOf(ctx, caller, p.DestinationID, d, t.Owner)
	t.DestinationID, t.DestinationAddress, t.DestinationPort, t.PublicKey = to.DestinationID, to.DestinationAddress, to.DestinationPort, to.DestinationPublicKey
	return t, err
}

// receiverOf returns the destination of a dry run; one that nobody has made, and that
// thus has no id, where there is none at the address.
func (e *Engine) receiverOf(ctx context.Context, caller api.Caller, destinationID string, p DryRunParams, owner string) (Destination, error) {
	if p.Address == nil {
		return e.Destination(ctx, caller, destinationID)
	}
	host, port, err := ParseAddress(*p.Address, p.Port)
	if err != nil {
		return Destination{}, err
	}
	d := Destination{DestinationAddress: host, DestinationPort: port}
	known, err := e.o.Store.DestinationAt(ctx, owner, host, port)
	if err != nil {
		return Destination{}, err
	}
	if known != nil {
		d = *known
	}
	if p.PublicKey == nil {
		return d, nil
	}
	if err := checkPublicKey(*p.PublicKey); err != nil {
		return Destination{}, err
	}
	if d.DestinationPublicKey != "" && d.DestinationPublicKey != *p.PublicKey {
		return Destination{}, d.otherKey(*p.PublicKey)
	}
	d.DestinationPublicKey = *p.PublicKey
	return d, nil
}
