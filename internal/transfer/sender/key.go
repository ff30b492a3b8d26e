package sender

import (
	"context"
	"errors"
	"net"
	"strconv"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/wire"
)

// maxProbes is how many receivers are asked for their keys at a time.
const maxProbes = 16

// probeTimeout bounds the question for a key.
const probeTimeout = 15 * time.Second

// ReceiverKey returns the public key that the receiver of d shows, without a login.
// Codes: conflict when what answers cannot be sent to; unavailable when nothing
// answers; tooManyRequests.
func (s *Sender) ReceiverKey(ctx context.Context, d transfer.Destination) (string, error) {
	select {
	case s.probes <- struct{}{}:
		defer func() { <-s.probes }()
	default:
		e := api.Errorf(api.CodeTooManyRequests, "%d receivers are being asked for their keys already; try again in a second", maxProbes)
		e.RetryAfter = time.Second
		return "", e
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	a := &attempt{s: s, to: net.JoinHostPort(d.DestinationAddress, strconv.Itoa(d.DestinationPort))}
	nc, err := s.o.Dial(ctx, a.to)
	if err != nil {
		return "", api.Wrap(err, api.CodeUnavailable, "%s cannot be reached: %s", a.to, reason(err))
	}
	conn, err := wire.Client(ctx, nc, s.o.Identity, "", s.hello())
	if err != nil {
		err = a.unusable(err)
		if end, ok := errors.AsType[*finalError](err); ok {
			return "", api.Wrap(err, api.CodeConflict, "%s", end.message)
		}
		return "", api.Wrap(err, api.CodeUnavailable, "%s cannot be reached: %s", a.to, reason(err))
	}
	defer conn.Abort()
	return conn.PeerKey(), nil
}
