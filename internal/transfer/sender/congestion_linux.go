package sender

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// control calls do with the descriptor of a TCP connection.
func control(nc net.Conn, do func(fd int) error) error {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return unix.ENOTSOCK
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = do(int(fd)) }); err != nil {
		return err
	}
	return failed
}

func setCongestion(nc net.Conn, name string) error {
	return control(nc, func(fd int) error {
		return unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, name)
	})
}

func readLink(nc net.Conn) (l link) {
	_ = control(nc, func(fd int) error {
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			return err
		}
		l.roundTrip = time.Duration(info.Rtt) * time.Microsecond
		l.control, err = unix.GetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION)
		return err
	})
	return l
}

func readWork(nc net.Conn) (w work) {
	_ = control(nc, func(fd int) error {
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			return err
		}
		w.acknowledged = int64(info.Bytes_acked)
		w.busy = time.Duration(info.Busy_time) * time.Microsecond
		w.held = time.Duration(info.Sndbuf_limited+info.Rwnd_limited) * time.Microsecond
		return nil
	})
	return w
}

func readPath(nc net.Conn) (p path) {
	_ = control(nc, func(fd int) error {
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			return err
		}
		p.roundTrip, p.leastRoundTrip = time.Duration(info.Rtt)*time.Microsecond, time.Duration(info.Min_rtt)*time.Microsecond
		p.delivered = float64(info.Delivery_rate)
		return nil
	})
	return p
}

// limitUnsent sets how many bytes that were not sent once the kernel takes.
func limitUnsent(nc net.Conn, bytes int) {
	_ = control(nc, func(fd int) error {
		return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, bytes)
	})
}

// setPacing sets the rate of a connection in bytes a second.
func setPacing(nc net.Conn, rate uint64) {
	_ = control(nc, func(fd int) error {
		return unix.SetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_MAX_PACING_RATE, rate)
	})
}
