package watch

import (
	"io"

	"jetstream/internal/api"
	"jetstream/internal/terminal"
	"jetstream/internal/transfer"
)

// Object is what every object of --json begins with.
type Object struct {
	Type string   `json:"type" doc:"What the object is: see the headings"`
	Time api.Time `json:"time" doc:"When it was written, in microseconds since the Unix epoch"`
}

// ManifestObject says that the files to send are listed.
type ManifestObject struct {
	Object
	ManifestID     string `json:"manifestId" doc:"Id of the manifest"`
	TotalFiles     *int64 `json:"totalFiles" doc:"Number of files"`
	TotalSize      *int64 `json:"totalSize" doc:"Bytes of all files"`
	SkippedEntries *int64 `json:"skippedEntries" doc:"Entries that are left out since they cannot be sent; send.getManifestFiles lists them with the reasons"`
}

// Numbers are those of a transfer.
type Numbers struct {
	TransferID     string          `json:"transferId" doc:"Id of the transfer"`
	Status         transfer.Status `json:"status" doc:"pending, active, suspended, cancelled, complete or error; at the receiver receiving"`
	TotalFiles     int64           `json:"totalFiles" doc:"Number of files"`
	TotalBytes     int64           `json:"totalBytes" doc:"Bytes of all files"`
	FilesSent      int64           `json:"filesSent" doc:"Files that the receiver has confirmed"`
	BytesSent      int64           `json:"bytesSent" doc:"Bytes that the receiver has confirmed"`
	FilesUnchanged int64           `json:"filesUnchanged" doc:"Files that the receiver has already and keeps, as far as is known yet"`
	BytesUnchanged int64           `json:"bytesUnchanged" doc:"Bytes of these"`
	BytesSaved     int64           `json:"bytesSaved" doc:"Bytes that compression has kept off the network"`
}

// ProgressObject is how the transfer gets on.
type ProgressObject struct {
	Object
	Numbers
	Rate       float64 `json:"rate" doc:"Present rate in kbit/s"`
	EtaSeconds *int64  `json:"etaSeconds" doc:"Seconds until the end at the present rate, or null"`
}

// WaitingObject is why the transfer does not get on at present.
type WaitingObject struct {
	Object
	TransferID      string          `json:"transferId" doc:"Id of the transfer"`
	Status          transfer.Status `json:"status" doc:"pending or suspended"`
	Message         string          `json:"message" doc:"What it waits for, for people; empty if it is suspended"`
	NextAttemptTime api.Time        `json:"nextAttemptTime" doc:"When it is tried again, or null"`
}

// ResultObject is how the transfer has ended.
type ResultObject struct {
	Object
	Numbers
	ErrorMessage   string   `json:"errorMessage" doc:"Why it failed; of a complete one, what the receiver could not keep; else empty"`
	SkippedEntries int64    `json:"skippedEntries" doc:"Entries that were left out since they cannot be sent"`
	StartTime      api.Time `json:"startTime" doc:"When the first connection was made, or null"`
	EndTime        api.Time `json:"endTime" doc:"When it ended"`
	AverageRate    float64  `json:"averageRate" doc:"Bytes sent over the time from start to end, in kbit/s"`
}

// PlanObject is what a dry run has found out.
type PlanObject struct {
	Object
	transfer.Plan
}

// ErrorObject is why the command has failed. It is the last object then.
type ErrorObject struct {
	Object
	Code       api.Code `json:"code" doc:"Status of the API's reply, usage for a wrong command line, or failed"`
	Message    string   `json:"message" doc:"The fault and the way out, for people"`
	ExitStatus int      `json:"exitStatus" doc:"Exit status of the command"`
}

func objectOf(kind string) Object { return Object{Type: kind, Time: api.Now()} }

// WritePlan writes what a dry run has found out.
func WritePlan(w io.Writer, plan transfer.Plan) error {
	return writeObject(w, PlanObject{objectOf("plan"), plan})
}

// WriteError writes why the command has failed.
func WriteError(w io.Writer, code api.Code, message string, exitStatus int) error {
	return writeObject(w, ErrorObject{objectOf("error"), code, message, exitStatus})
}

// writeObject writes an object as one line.
func writeObject(w io.Writer, object any) error {
	text, err := api.Marshal(object)
	if err != nil {
		return err
	}
	_, err = w.Write(append(terminal.PrintableJSON(text), '\n'))
	return err
}

func numbersOf(t *transfer.Transfer) Numbers {
	return Numbers{
		TransferID: t.TransferID, Status: t.Status, TotalFiles: t.TotalFiles, TotalBytes: t.TotalBytes, FilesSent: t.FilesSent, BytesSent: t.BytesSent,
		FilesUnchanged: t.FilesUnchanged, BytesUnchanged: t.BytesUnchanged, BytesSaved: t.BytesSaved,
	}
}

// objects shows programs how a transfer gets on.
type objects struct {
	out      io.Writer
	progress ProgressObject // the last, without time and estimate
	waiting  WaitingObject  // likewise; empty while the transfer gets on
}

// show writes t if it is not as it was.
func (o *objects) show(t transfer.Transfer) {
	switch {
	case !t.Processing: // its result follows
	case t.Status == transfer.StatusSuspended, t.Status == transfer.StatusPending && t.ErrorMessage != "":
		next := WaitingObject{TransferID: t.TransferID, Status: t.Status, Message: t.ErrorMessage, NextAttemptTime: t.NextAttemptTime}
		trying := o.waiting
		if trying.NextAttemptTime = 0; next == o.waiting || next == trying {
			return
		}
		o.waiting, o.progress = next, ProgressObject{}
		next.Object = objectOf("waiting")
		_ = writeObject(o.out, next) // who has stopped reading may still want the transfer
	default:
		next := ProgressObject{Numbers: numbersOf(&t), Rate: t.Rate}
		if next == o.progress {
			return
		}
		o.progress, o.waiting = next, WaitingObject{}
		next.Object, next.EtaSeconds = objectOf("progress"), t.EtaSeconds
		_ = writeObject(o.out, next)
	}
}

func (o *objects) end() {}

// result writes how t has ended.
func (o *objects) result(t transfer.Transfer, skipped int64) error {
	rate := 0.0
	if t.StartTime != 0 {
		rate = averageRate(t.BytesSent, t.EndTime.Std().Sub(t.StartTime.Std()))
	}
	return writeObject(o.out, ResultObject{
		Object: objectOf("result"), Numbers: numbersOf(&t), ErrorMessage: t.ErrorMessage, SkippedEntries: skipped,
		StartTime: t.StartTime, EndTime: t.EndTime, AverageRate: rate,
	})
}
