package transfer

import (
	"context"
	"time"

	"jetstream/internal/stream"
	"jetstream/triggers"
)

// ShowEvery is the minimum time between two progress entries of one transfer.
const ShowEvery = time.Second

// The sides of a transfer in entries.
const (
	SideSend = "send"
	SideRecv = "recv"
)

// ChangeEntry is the data of transfer.changed.
type ChangeEntry struct {
	Side           string `json:"side" doc:"send: this server sends it; recv: this server receives it" validate:"oneof=send recv"`
	TransferID     string `json:"transferId" doc:"Id of the transfer, the same at both ends"`
	Status         Status `json:"status" doc:"The state now, as send.getTransfer or recv.getTransfer have it"`
	PreviousStatus Status `json:"previousStatus" doc:"The state before, or empty when it is new"`
	Processing     bool   `json:"processing" doc:"True until it has ended"`
	ErrorMessage   string `json:"errorMessage" doc:"Why it waits or failed, or empty"`
	Username       string `json:"username" doc:"User that authorizes it at the receiver"`
	TotalFiles     int64  `json:"totalFiles" doc:"Number of files; 0 at the receiver until it is known"`
	TotalBytes     int64  `json:"totalBytes" doc:"Bytes of all files; 0 at the receiver until it is known"`
	Files          int64  `json:"files" doc:"Files that the receiver has confirmed"`
	Bytes          int64  `json:"bytes" doc:"Bytes that the receiver has confirmed"`
	RequestID      string `json:"requestId,omitempty" doc:"The API request that made the transfer, at its sender"`
}

// ProgressEntry is the data of transfer.progress.
type ProgressEntry struct {
	Side       string  `json:"side" doc:"send or recv" validate:"oneof=send recv"`
	TransferID string  `json:"transferId" doc:"Id of the transfer, the same at both ends"`
	TotalFiles int64   `json:"totalFiles" doc:"Number of files"`
	TotalBytes int64   `json:"totalBytes" doc:"Bytes of all files"`
	Files      int64   `json:"files" doc:"Files that the receiver has confirmed"`
	Bytes      int64   `json:"bytes" doc:"Bytes that the receiver has confirmed"`
	Rate       float64 `json:"rate" doc:"Present rate in kbit/s"`
	EtaSeconds *int64  `json:"etaSeconds" doc:"Seconds until the end at the present rate, or null"`
}

// DestinationEntry is the data of destination.updated.
type DestinationEntry struct {
	DestinationID        string `json:"destinationId" doc:"Id of the destination"`
	Destination          string `json:"destination" doc:"Address and port of the destination, as ip:port"`
	Sender               string `json:"sender" doc:"Address and port of this server's side, as ip:port"`
	DestinationPublicKey string `json:"destinationPublicKey" doc:"The receiver's public key, or empty"`
	SendRateMax          int64  `json:"sendRateMax" doc:"Highest send rate in kbit/s; 0 is no limit"`
	RequestID            string `json:"requestId,omitempty" doc:"The API request that changed it"`
}

// The types of entries about transfers and destinations.
var (
	Changed = stream.Define[ChangeEntry]("transfer.changed",
		"The state of a transfer has changed, at either side.")
	ProgressShown = stream.DefineLive[ProgressEntry]("transfer.progress",
		"A transfer gets on; about once a second for each.")
	DestinationUpdated = stream.Define[DestinationEntry]("destination.updated",
		"A destination was given other parameters.")
)

// StreamTypes lists the types of entries of this package.
func StreamTypes() []stream.Definition {
	return []stream.Definition{DestinationUpdated.Definition, Changed.Definition, ProgressShown.Definition}
}

func (o *transferObject) appendEntry(tx Tx, log *stream.Log, from Status) error {
	return Changed.Append(log, tx, o.Owner, ChangeEntry{
		Side: SideSend, TransferID: o.TransferID, Status: o.Status, PreviousStatus: from, Processing: o.Processing,
		ErrorMessage: o.ErrorMessage, Username: o.Username, TotalFiles: o.TotalFiles, TotalBytes: o.TotalBytes,
		Files: o.FilesSent, Bytes: o.BytesSent, RequestID: o.RequestID,
	})
}

func appendUpdate(tx Tx, log *stream.Log, d *Destination, requestID string) error {
	return DestinationUpdated.Append(log, tx, d.Owner, DestinationEntry{
		DestinationID: d.DestinationID, Destination: d.Destination, Sender: d.Sender,
		DestinationPublicKey: d.DestinationPublicKey, SendRateMax: d.SendRateMax, RequestID: requestID,
	})
}

// publishProgress publishes a live entry with the progress of a transfer,
// unless that cannot be read.
func (e *Engine) publishProgress(transferID string) {
	ctx, cancel := context.WithTimeout(context.Background(), saveTimeout)
	defer cancel()
	t, err := e.LoadTransfer(ctx, transferID)
	if err != nil || !t.Processing {
		return
	}
	ProgressShown.Publish(e.o.Stream, t.Owner, ProgressEntry{
		Side: SideSend, TransferID: transferID, TotalFiles: t.TotalFiles, TotalBytes: t.TotalBytes,
		Files: t.FilesSent, Bytes: t.BytesSent, Rate: t.Rate, EtaSeconds: t.EtaSeconds,
	})
}

// FailureOf returns the arguments of send.transferFailed and
// recv.transferFailed. It adds a message to a cancellation without one.
func FailureOf(transferID, username string, status Status, message string) triggers.FailureParams {
	if message == "" && status == StatusCancelled {
		message = "the transfer was cancelled"
	}
	return triggers.FailureParams{TransferID: transferID, Username: username, Message: message}
}

// Eta returns how many seconds left bytes take at a rate in kbit/s; nil if the
// rate is 0.
func Eta(left int64, rate float64) *int64 {
	if rate <= 0 {
		return nil
	}
	eta := int64(float64(max(left, 0)) * 8 / 1000 / rate)
	return &eta
}
