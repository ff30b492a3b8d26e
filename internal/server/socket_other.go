//go:build !linux && !darwin

package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
)

const hasSockets = false

func listenSocket(context.Context, string, *slog.Logger) (net.Listener, error) {
	return nil, errors.ErrUnsupported
}
