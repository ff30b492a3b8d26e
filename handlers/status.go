package handlers

import (
	"context"

	"jetstream/internal/api"
)

// ServerStatus is the result of getServerStatus.
type ServerStatus struct {
	Version      string             `json:"version" doc:"Version of the program"`
	Revision     string             `json:"revision" doc:"Source revision that the program was built from"`
	HostName     string             `json:"hostName" doc:"Name of the host it runs on"`
	StartTime    api.Time           `json:"startTime" doc:"When this process started"`
	Time         api.Time           `json:"time" doc:"The server's clock"`
	Well         bool               `json:"well" doc:"Whether there are no faults"`
	Faults       []string           `json:"faults" doc:"Why the server is not well; empty when it is"`
	Notices      []string           `json:"notices" doc:"What an operator should know and what is no fault"`
	StateDir     string             `json:"stateDir" doc:"State directory"`
	Schema       int                `json:"schema" doc:"Version of the database's schema"`
	API          string             `json:"api" doc:"Address and port of the control API"`
	TLS          bool               `json:"tls" doc:"Whether the control API speaks TLS"`
	Recv         string             `json:"recv" doc:"Address and port that transfers are received on"`
	External     string             `json:"externalAddress" doc:"Host name or address that others reach this server by, or empty"`
	Certificate  *CertificateStatus `json:"certificate" doc:"The control API's certificate, or null"`
	Disks        []Disk             `json:"disks" doc:"Space where the state lies and where files arrive"`
	Sending      TransfersStatus    `json:"sending" doc:"Transfers that are sent"`
	Receiving    TransfersStatus    `json:"receiving" doc:"Transfers that are received"`
	Triggers     TriggersStatus     `json:"triggers" doc:"State of the trigger queue"`
	Failures     FailuresStatus     `json:"failures" doc:"What has failed in the last 24 hours and is still recorded"`
	Destinations DestinationsStatus `json:"destinations" doc:"Where is sent to"`
}

// CertificateStatus is the control API's certificate.
type CertificateStatus struct {
	File       string   `json:"file" doc:"File that it is from"`
	ExpiryTime api.Time `json:"expiryTime" doc:"When it expires"`
}

// Disk is a directory of the server and the file system that it lies on.
type Disk struct {
	What  string `json:"what" doc:"What lies in the directory: state or files"`
	Dir   string `json:"dir" doc:"The directory"`
	Free  int64  `json:"free" doc:"Bytes that are free" unit:"bytes"`
	Total int64  `json:"total" doc:"Bytes that there are" unit:"bytes"`
	Floor int64  `json:"floor" doc:"Bytes that must stay free: --min-free" unit:"bytes"`
	Short bool   `json:"short" doc:"Whether less is free, so that transfers that would arrive wait"`
}

// TransfersStatus counts the transfers of one direction.
type TransfersStatus struct {
	Active  int64   `json:"active" doc:"Transfers that are under way"`
	Waiting int64   `json:"waiting" doc:"Of what is sent, those that are pending or suspended; of what is received, those that wait for free space"`
	Rate    float64 `json:"rate" doc:"Present rate of all together in kbit/s" unit:"kbit/s"`
}

// TriggersStatus is the state of the trigger queue.
type TriggersStatus struct {
	Dir           string   `json:"dir" doc:"Trigger directory, empty when there is none"`
	Waiting       int      `json:"waiting" doc:"Runs that wait"`
	OldestWaiting api.Time `json:"oldestWaiting" doc:"When the oldest of them was queued, or null"`
	Running       int      `json:"running" doc:"Scripts that run"`
	Paused        bool     `json:"paused" doc:"Whether the queue is paused"`
	Blocked       bool     `json:"blocked" doc:"Whether the queue waits for a fault of the place, or a script has run for a minute while others wait"`
}

// FailuresStatus counts what has failed.
type FailuresStatus struct {
	Sent     int64           `json:"sent" doc:"Sent transfers"`
	Received int64           `json:"received" doc:"Received transfers"`
	Runs     int64           `json:"runs" doc:"Trigger runs"`
	Newest   []RecentFailure `json:"newest" doc:"The newest of them, at most 3"`
}

// RecentFailure is something that has failed.
type RecentFailure struct {
	Kind    string   `json:"kind" doc:"send or recv for a transfer, run for a trigger run" validate:"oneof=send recv run"`
	ID      string   `json:"id" doc:"Id of the transfer or run"`
	Time    api.Time `json:"time" doc:"When it ended"`
	Message string   `json:"message" doc:"Why"`
}

// DestinationsStatus counts destinations.
type DestinationsStatus struct {
	Total  int                 `json:"total" doc:"How many there are, at most 1000"`
	Silent []SilentDestination `json:"silent" doc:"Those that transfers wait for and that could not be reached, at most 10"`
}

// SilentDestination is a destination that could not be reached.
type SilentDestination struct {
	DestinationID string   `json:"destinationId" doc:"Id of the destination"`
	Address       string   `json:"address" doc:"Host and port of the receiver"`
	Waiting       int      `json:"waiting" doc:"Transfers that wait for it"`
	Message       string   `json:"message" doc:"Why the last attempt to reach it failed"`
	LastSendTime  api.Time `json:"lastSendTime" doc:"When something was last sent to it, or null"`
}

type getServerStatusParams struct{}

func (h serverHandlers) status(ctx context.Context, _ getServerStatusParams) (ServerStatus, error) {
	return h.server.Status(ctx)
}
