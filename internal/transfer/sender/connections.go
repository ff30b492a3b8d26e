package sender

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
)

// The states of a Connection.
const (
	connecting = "connecting"
	connected  = "connected"
)

// Connection is what one transfer is being sent over: a connection for messages and the lanes.
type Connection struct {
	Seq int64 `json:"-"`

	ConnectionID         string   `json:"connectionId" doc:"Id of the connection" column:"1"`
	TransferID           string   `json:"transferId" doc:"Id of the transfer" column:"2"`
	DestinationID        string   `json:"destinationId" doc:"Id of the destination"`
	DestinationAddress   string   `json:"destinationAddress" doc:"Host of the receiver" column:"3"`
	DestinationPort      int      `json:"destinationPort" doc:"Receive port of the receiver"`
	DestinationPublicKey string   `json:"destinationPublicKey" doc:"The receiver's public key; empty until it is connected"`
	State                string   `json:"state" doc:"connecting or connected" validate:"oneof=connecting connected" column:"4"`
	Lanes                int      `json:"lanes" doc:"Connections that carry data at present" column:"5"`
	CongestionControl    string   `json:"congestionControl" doc:"The kernel's congestion control of the lanes; empty where it is not known" column:"6"`
	RoundTripTimeMs      float64  `json:"roundTripTimeMs" doc:"Round trip time in milliseconds; 0 where it is not known" unit:"ms" column:"7"`
	SendRate             float64  `json:"sendRate" doc:"Present rate in kbit/s" unit:"kbit/s" column:"8"`
	LastError            string   `json:"lastError" doc:"Why the connection before, or a lane, was lost; empty if none was" column:"below"`
	StartTime            api.Time `json:"startTime" doc:"When it was begun"`
	Owner                string   `json:"owner" doc:"User that made the transfer"`
}

// connection is the live state of a Connection. Safe for concurrent use.
type connection struct {
	Connection
	a *attempt

	mu     sync.Mutex
	stream *stream // nil until it is connected
	failed string  // why a lane was lost last
}

// connections holds those that are open.
type connections struct {
	mu   sync.Mutex
	last int64
	open map[int64]*connection
}

// add adds the connection of an attempt, until remove.
func (c *connections) add(a *attempt) *connection {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last++
	n := &connection{a: a, Connection: Connection{
		Seq: c.last, ConnectionID: api.NewID(), TransferID: a.t.TransferID, DestinationID: a.t.DestinationID,
		DestinationAddress: a.t.DestinationAddress, DestinationPort: a.t.DestinationPort, State: connecting,
		LastError: a.t.ErrorMessage, StartTime: api.Now(), Owner: a.t.Owner,
	}}
	if c.open == nil {
		c.open = map[int64]*connection{}
	}
	c.open[n.Seq] = n
	return n
}

func (c *connections) remove(n *connection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, n.Seq)
}

// connected says that the transfer is open at the receiver.
func (n *connection) connected(s *stream) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.stream = s
}

func (n *connection) lost(lane error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.failed = reason(lane)
}

// show returns the connection as it is now.
func (n *connection) show() Connection {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := n.Connection
	c.LastError = cmp.Or(n.failed, c.LastError)
	if n.stream == nil {
		return c
	}
	c.State, c.Lanes = connected, n.stream.working()
	c.DestinationPublicKey = n.stream.conn.PeerKey()
	c.SendRate = n.a.meter.Rate()
	l := n.stream.link()
	c.CongestionControl, c.RoundTripTimeMs = l.control, float64(l.roundTrip.Microseconds())/1000
	return c
}

// Connections lists the connections of a user's transfers (empty: everybody's), newest
// first; next is the Before of the next page, 0 at the end.
func (s *Sender) Connections(p transfer.Page) (list []Connection, next int64) {
	s.connections.mu.Lock()
	open := make([]*connection, 0, len(s.connections.open))
	for _, n := range s.connections.open {
		if (p.Owner == "" || n.Owner == p.Owner) && (p.Before == 0 || n.Seq < p.Before) {
			open = append(open, n)
		}
	}
	s.connections.mu.Unlock()
	slices.SortFunc(open, func(a, b *connection) int { return cmp.Compare(b.Seq, a.Seq) })
	for _, n := range open[:min(len(open), p.Limit+1)] {
		list = append(list, n.show())
	}
	return api.CutPage(list, p.Limit, func(c Connection) int64 { return c.Seq })
}

// Connection returns one of the caller's connections. Codes: notFound.
func (s *Sender) Connection(_ context.Context, caller api.Caller, id string) (Connection, error) {
	s.connections.mu.Lock()
	defer s.connections.mu.Unlock()
	for _, n := range s.connections.open {
		if n.ConnectionID == id && caller.CheckOwner(n.Owner, "connection", id) == nil {
			return n.show(), nil
		}
	}
	return Connection{}, api.NotFound("connection", id)
}
