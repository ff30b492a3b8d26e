package server

import (
	"time"

	"golang.org/x/sys/unix"
)

// monotonic returns the reading of the clock that systemd compares with its own;
// 0 if it cannot be read.
func monotonic() time.Duration {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) != nil {
		return 0
	}
	return time.Duration(now.Nano())
}
