package main

import (
	"context"
	"net"
	"path/filepath"
	"time"

	"jetstream/internal/server"
)

// socketTimeout bounds the wait for a control socket to accept a connection.
const socketTimeout = 2 * time.Second

// findSocket returns the path of the first control socket in socketDirs that
// accepts a connection from this user, or "".
func (p *program) findSocket(ctx context.Context, dir string) string {
	for _, dir := range p.socketDirs(dir) {
		path := filepath.Join(dir, server.SocketFile)
		conn, err := (&net.Dialer{Timeout: socketTimeout}).DialContext(ctx, "unix", path)
		if err == nil {
			_ = conn.Close()
			return path
		}
	}
	return ""
}

// socketDirs returns the state directories to search for a control socket: the
// given one or, where that is empty, the default of this user and that of
// the system.
func (p *program) socketDirs(given string) []string {
	if given != "" {
		return []string{given}
	}
	own, err := defaultStateDir(p.Getenv)
	if err != nil || own == systemStateDir {
		return []string{systemStateDir}
	}
	return []string{own, systemStateDir}
}
