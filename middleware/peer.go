package middleware

import "context"

type peerKey struct{}

// WithPeer marks the requests of a connection to the control socket. peer names
// the user of the process that connected, who may act as everybody.
func WithPeer(ctx context.Context, peer string) context.Context {
	return context.WithValue(ctx, peerKey{}, peer)
}

// peerOf is the peer of a request that came by the control socket.
func peerOf(ctx context.Context) (peer string, ok bool) {
	peer, ok = ctx.Value(peerKey{}).(string)
	return peer, ok
}
