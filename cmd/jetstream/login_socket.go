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

// findSocket finds the control socket of a server that runs on this machine: in
// dir, or where dir is empty in the default state directory of this user and
// that of the system. It is "" where none answers that this user may use.
func (p *program) findSocket(ctx context.Context, dir string) string {
	dirs := []string{dir}
	if dir == "" {
		dirs = []string{systemStateDir}
		if own, err := defaultStateDir(p.Getenv); err == nil {
			dirs = []string{own, systemStateDir}
		}
	}
	for _, dir := range dirs {
		path := filepath.Join(dir, server.SocketFile)
		conn, err := (&net.Dialer{Timeout: socketTimeout}).DialContext(ctx, "unix", path)
		if err == nil {
			_ = conn.Close()
			return path
		}
	}
	return ""
}
