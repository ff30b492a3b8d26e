package main

import (
	"cmp"
	"context"
	"path/filepath"
	"time"

	"jetstream/internal/client"
	"jetstream/internal/server"
)

// socketTimeout bounds the wait for a control socket to answer.
const socketTimeout = 2 * time.Second

// findSocket returns the path of the first control socket in socketDirs that
// answers this user, or "". A server cuts off users that it does not serve.
func (p *program) findSocket(ctx context.Context, dir string) string {
	for _, dir := range p.socketDirs(dir) {
		path := filepath.Join(dir, server.SocketFile)
		if client.Answers(ctx, path, socketTimeout) {
			return path
		}
	}
	return ""
}

// socketDirs returns the state directories to search for a control socket: the
// given one or, where that is empty, the default of this user and that of
// the system, which its configuration file may say.
func (p *program) socketDirs(given string) []string {
	if given != "" {
		return []string{given}
	}
	system := cmp.Or(configuredStateDir(p.Getenv), systemStateDir)
	own, err := defaultStateDir(p.Getenv)
	if err != nil || own == systemStateDir {
		return []string{system}
	}
	return []string{own, system}
}
