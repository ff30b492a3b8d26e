package server

import (
	"context"
	"errors"
	"net"
	"os"
	"strconv"

	"jetstream/internal/localhost"
)

// listen opens a TCP port. An error is an *OptionError that names hostOption or
// portOption, the options that host and port come from.
func listen(ctx context.Context, host string, port uint16, hostOption, portOption option) (net.Listener, error) {
	var lc net.ListenConfig
	if localhost.Is(host) {
		host = localhost.IPv4
	}
	ln, err := lc.Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(int(port))))
	switch {
	case err == nil:
		return ln, nil
	case errors.Is(err, errAddressInUse):
		return nil, optionErrorf("port %d is taken by another program; stop it or choose another with %s (0 picks a free one)", port, portOption)
	case errors.Is(err, os.ErrPermission):
		return nil, optionErrorf("port %d may not be opened by this user; choose one above 1023 with %s", port, portOption)
	}
	if host == "" {
		host = "all addresses"
	}
	return nil, optionErrorf("cannot listen on %s port %d: %v; see %s and %s", host, port, err, hostOption, portOption)
}

// closeListener returns a function that closes ln; that it is already closed is
// no error.
func closeListener(ln net.Listener) func() error {
	return func() error {
		if err := ln.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	}
}

func hostPort(ln net.Listener) (host string, port int) {
	h, p, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		return "", 0
	}
	port, _ = strconv.Atoi(p)
	return h, port
}

// localHost returns the address at which programs on this machine reach the API.
func localHost(listening string) string {
	if ip := net.ParseIP(listening); ip != nil && ip.IsUnspecified() {
		if ip.To4() == nil {
			return "::1"
		}
		return "127.0.0.1"
	}
	return listening
}
