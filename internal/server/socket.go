package server

import (
	"context"
	"path/filepath"
)

// SocketFile is the control socket in the state directory: the control API for
// the user of the server and root, who need no login there.
const SocketFile = "control.sock"

// maxSocketPath is how long the path of a socket may be everywhere, in bytes.
const maxSocketPath = 103

// checkSocket tells whether the path of the control socket is too long.
func (o *Options) checkSocket() error {
	path := filepath.Join(o.StateDir, SocketFile)
	if o.NoControlSocket || !hasSockets || len(path) <= maxSocketPath {
		return nil
	}
	return optionErrorf("the path of the control socket is too long, %d bytes instead of %d at most: %s; choose a shorter %s, or leave the socket out by %s",
		len(path), maxSocketPath, path, option("StateDir"), option("NoControlSocket"))
}

// openSocket opens the control socket. The state directory is this server's, and
// none that others may write to.
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
