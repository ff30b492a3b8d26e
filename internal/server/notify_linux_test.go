package server

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// TestServiceManagerIsNotified of the start, of signs of life, of a reload and of
// the stop, by a path and by a name of the abstract namespace.
func TestServiceManagerIsNotified(t *testing.T) {
	for name, socket := range map[string]func(t *testing.T) string{
		"path":     func(t *testing.T) string { return filepath.Join(filepath.Dir(stateDir(t)), "notify") },
		"abstract": func(t *testing.T) string { return "@" + filepath.Base(t.TempDir()) + strconv.Itoa(unix.Getpid()) },
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{StateDir: stateDir(t), NotifySocket: socket(t), Watchdog: 20 * time.Millisecond, ShutdownGrace: time.Minute}
			manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: o.NotifySocket, Net: "unixgram"})
			if err != nil {
				t.Skipf("this machine gives no such socket: %v", err)
			}
			defer func() { _ = manager.Close() }()
			awaits := func(want string) string {
				t.Helper()
				for buffer := make([]byte, 4096); ; {
					_ = manager.SetReadDeadline(time.Now().Add(time.Minute))
					n, err := manager.Read(buffer)
					if err != nil {
						t.Fatalf("%s: %v", want, err)
					}
					if got := string(buffer[:n]); strings.Contains(got, want) {
						return got
					}
				}
			}
			s, stop := start(t, o)
			if got := awaits("READY=1"); !strings.Contains(got, "STATUS=API on "+s.apiListener.Addr().String()) {
				t.Errorf("started: %s", got)
			}
			awaits("WATCHDOG=1")
			awaits("WATCHDOG=1")
			go func() { // while they are read: the queue of the socket is short
				s.notify.reloading(s.status())()
				stop()
			}()
			if got := awaits("RELOADING=1"); !strings.Contains(got, "MONOTONIC_USEC=") {
				t.Errorf("reload: %s", got)
			}
			awaits("READY=1")
			if got := awaits("STOPPING=1"); !strings.Contains(got, "EXTEND_TIMEOUT_USEC=95000000") {
				t.Errorf("stopping: %s", got)
			}
			stop()
		})
	}
	s, stop := start(t, Options{StateDir: stateDir(t), NotifySocket: "/nobody/listens"})
	s.notify.ready("")
	stop()
}

// TestWatchdogEndsWithAHangingCheck: a check that is slower than the timeout is fed
// until the patience ends, one that returns is fed for ever.
func TestWatchdogEndsWithAHangingCheck(t *testing.T) {
	path := filepath.Join(filepath.Dir(stateDir(t)), "notify")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	fed := func() (times int) {
		for buffer := make([]byte, 64); ; times++ {
			if _, _, err := unix.Recvfrom(fd, buffer, unix.MSG_DONTWAIT); err != nil {
				return times
			}
		}
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, end := context.WithCancel(t.Context())
		release := make(chan struct{})
		n := newNotifier(path, slog.New(slog.DiscardHandler))
		go n.watch(ctx, 2*time.Minute, 5*time.Minute, func(ctx context.Context) {
			select {
			case <-release:
			case <-ctx.Done():
			}
		})
		time.Sleep(time.Hour) //nolint:forbidigo // the bubble's clock
		synctest.Wait()
		if got := fed(); got != 5 {
			t.Errorf("fed %d times while the check hung, want 5", got)
		}
		close(release)
		time.Sleep(7 * time.Minute) //nolint:forbidigo // the bubble's clock
		synctest.Wait()
		if got := fed(); got != 7 {
			t.Errorf("fed %d times in 7 minutes after the check returned, want 7", got)
		}
		end()
	})
}
