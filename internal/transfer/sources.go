package transfer

import "jetstream/internal/api"

// AuthorizedClient is a sending server that the operator has authorized.
type AuthorizedClient struct {
	Seq int64 `json:"-"`

	PublicKey   string   `json:"publicKey" doc:"Public key of the sending server, as its getServerInfo shows it"`
	Description string   `json:"description" doc:"What the operator noted about it"`
	CreateTime  api.Time `json:"createTime" doc:"When it was added"`
}

// Source is a sending server, with statistics of those of its transfers that
// are stored.
type Source struct {
	Seq int64 `json:"-"` // the Seq of its newest transfer

	SourcePublicKey        string   `json:"sourcePublicKey" doc:"The sending server's public key"`
	SourceIP               string   `json:"sourceIP" doc:"Address that its newest transfer came from" column:"1"`
	SourcePort             int      `json:"sourcePort" doc:"Port that its newest transfer came from"`
	Connected              bool     `json:"connected" doc:"Whether a connection of it is open" column:"2"`
	ActiveTransferCount    int64    `json:"activeTransferCount" doc:"Unfinished transfers that a connection works on" column:"3"`
	InactiveTransferCount  int64    `json:"inactiveTransferCount" doc:"Unfinished transfers that wait for their sender"`
	CompleteTransferCount  int64    `json:"completeTransferCount" doc:"Transfers that arrived" column:"4"`
	ErrorTransferCount     int64    `json:"errorTransferCount" doc:"Transfers that failed" column:"5"`
	CancelledTransferCount int64    `json:"cancelledTransferCount" doc:"Transfers that were cancelled"`
	AveRecvRate            float64  `json:"aveRecvRate" doc:"Mean rate of all its transfers in kbit/s" unit:"kbit/s"`
	AveRecvRateWindow      float64  `json:"aveRecvRateWindow" doc:"Present rate of all its transfers together in kbit/s" unit:"kbit/s" column:"6"`
	LastRecvTime           api.Time `json:"lastRecvTime" doc:"When something last arrived, or null" column:"7"`

	// Bytes and Micros are the bytes received and the microseconds that took,
	// from which AveRecvRate is calculated.
	Bytes  int64 `json:"-"`
	Micros int64 `json:"-"`
}
