package gateway

import (
	"github.com/go-chi/chi/v5"

	"jetstream/middleware"
)

// waitsShare is which part of the connections wait commands may hold; one user
// may hold half of that.
const waitsShare = 4

// chain is the path of a command, outermost first; Gateway.command is at its
// end.
type chain struct {
	every   chi.Middlewares // every request
	below   chi.Middlewares // those below api.Prefix
	command chi.Middlewares // those that call a command
}

func (g *Gateway) chain() chain {
	return chain{
		every: chi.Middlewares{
			middleware.WithRequestID,
			middleware.ClientAddress(g.o.TrustedProxies...),
			middleware.Refusals(g.o.Refused),
			middleware.Log(g.log),
			middleware.Recover(g.log),
			middleware.Hosts(g.log, g.o.Hosts...),
			middleware.SameOrigin(g.log),
		},
		below: chi.Middlewares{
			middleware.Authenticate(g.log, g.o.Auth, g.isPublic),
		},
		command: chi.Middlewares{
			middleware.Decode(g.log, g.o.Registry),
			middleware.Permit(g.log),
			middleware.Limits(g.log, g.o.MaxConnections/waitsShare, pinConnection),
			middleware.Idempotency(g.log, g.o.Replays),
			g.o.Capture,
		},
	}
}
