//go:build linux || darwin

package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"strconv"
	"syscall"
)

const hasSockets = true

// listenSocket listens at path for the user of this process and root. The stale
// socket of a killed server is removed; a socket that answers, or another kind of
// file, is an error. Closing the listener removes the file.
func listenSocket(ctx context.Context, path string, log *slog.Logger) (net.Listener, error) {
	if err := removeStaleSocket(ctx, path); err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	// Other users who connect before the chmod are refused by Accept.
	if err := os.Chmod(path, 0o600); err != nil { //nolint:gosec // the state directory is the operator's
		return nil, errors.Join(err, ln.Close())
	}
	return &peerListener{ln.(*net.UnixListener), log}, nil
}

func removeStaleSocket(ctx context.Context, path string) error {
	info, err := os.Lstat(path) //nolint:gosec // the state directory is the operator's
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s is there and is no socket; move it away", path)
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err == nil {
		_ = conn.Close()
		return fmt.Errorf("another program answers at %s; stop it", path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path) //nolint:gosec // the state directory is the operator's
}

// peerListener accepts connections only from this process's user and root,
// identified by the peer credentials that the kernel reports.
type peerListener struct {
	*net.UnixListener
	log *slog.Logger
}

// Accept implements net.Listener.
func (l *peerListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		uid, err := peerUser(conn)
		if err == nil && (uid == 0 || uid == os.Geteuid()) {
			return &peerConn{conn, peerAddr(uid)}, nil
		}
		_ = conn.Close()
		if err != nil {
			l.log.Warn("the control socket refused a connection whose user is not known", "error", err)
		} else {
			l.log.Warn("the control socket refused a connection of another user", "uid", uid)
		}
	}
}

// peerUser returns the user id of the process at the other end of conn.
func peerUser(conn *net.UnixConn) (uid int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { uid, failed = peerCredentials(int(fd)) })
	return uid, errors.Join(err, failed)
}

// peerConn is a connection whose remote address is its peer's user id.
type peerConn struct {
	*net.UnixConn
	peer peerAddr
}

// RemoteAddr implements net.Conn.
func (c *peerConn) RemoteAddr() net.Addr { return c.peer }

// peerAddr is the user id of a process connected to the control socket.
type peerAddr int

// Network implements net.Addr.
func (peerAddr) Network() string { return "unix" }

// String implements net.Addr.
func (p peerAddr) String() string { return "uid " + strconv.Itoa(int(p)) }
