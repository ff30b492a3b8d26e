package server

import (
	"context"
	"path/filepath"
)

// SocketFile is the name of the control socket in the state directory. It serves
// the control API without login to root and to the user that the server runs as.
const SocketFile = "control.sock"

// maxSocketPath is the longest socket path, in bytes, that all platforms accept.
const maxSocketPath = 103

// checkSocket returns an error if the path of the control socket is too long.
func (o *Options) checkSocket() error {
	path := filepath.Join(o.StateDir, SocketFile)
	if o.NoControlSocket || !hasSockets || len(path) <= maxSocketPath {
		return nil
	}
	return optionErrorf("the path of the control socket is too long, %d bytes instead of %d at most: %s; choose a shorter %s, or leave the socket out by %s",
		len(path), maxSocketPath, path, option("StateDir"), option("NoControlSocket"))
}

// openSocket opens the control socket. The state directory must be locked by
// this server; one that other users may write to is refused.
func (s *Server) openSocket(ctx context.Context) (err error) {
	if s.o.NoControlSocket || !hasSockets {
		return nil
	}
	s.socket, err = listenSocket(ctx, filepath.Join(s.o.StateDir, SocketFile), s.log)
	if err != nil {
		return optionErrorf("the control socket cannot be opened: %v; %s leaves it out", err, option("NoControlSocket"))
	}
	s.onClose(closeListener(s.socket))
	return nil
}
