package main

import (
	"context"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// The defaults of the kernel for the largest buffers of a connection: what is less
// holds up transfers to far receivers.
const (
	leastReadBuffer  = 6 << 20
	leastWriteBuffer = 4 << 20
)

func sysctl(name string) string {
	text, err := os.ReadFile("/proc/sys/" + strings.ReplaceAll(name, ".", "/"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// checkClock looks whether the clock is synchronized: by it are logins, tokens and
// certificates judged.
func (d *doctor) checkClock(context.Context) {
	if year := time.Now().Year(); year < 2026 {
		d.add(levelFail, "clock", "set it, and start a time service such as systemd-timesyncd or chrony", "it says that this is the year %d", year)
		return
	}
	var tx unix.Timex
	if _, err := unix.Adjtimex(&tx); err != nil {
		d.add(levelWarn, "clock", "", "whether it is synchronized cannot be seen: %v", err)
		return
	}
	if tx.Status&unix.STA_UNSYNC != 0 {
		d.add(levelWarn, "clock", "timedatectl set-ntp true, or start chrony; in a container or a machine whose host sets the clock all may be well", "it is not synchronized by NTP")
		return
	}
	d.add(levelOK, "clock", "", "it is synchronized")
}

// checkKernel looks at what the speed of transfers to far receivers depends on.
func (d *doctor) checkKernel(context.Context) {
	available, allowed := sysctl("net.ipv4.tcp_available_congestion_control"), sysctl("net.ipv4.tcp_allowed_congestion_control")
	switch {
	case available == "": // such as in a network namespace without it
		d.add(levelWarn, "kernel", "", "which congestion controls there are cannot be read")
	case !slices.Contains(strings.Fields(available), "bbr"):
		d.add(levelWarn, "kernel", "modprobe tcp_bbr, and for every boot: echo tcp_bbr > /etc/modules-load.d/jetstream.conf",
			"there is no BBR (%s): on long lines that lose packets transfers are slower", available)
	case !slices.Contains(strings.Fields(allowed), "bbr") && ownerOf(d.stateDir) != 0:
		d.add(levelWarn, "kernel", "sysctl -w net.ipv4.tcp_allowed_congestion_control='"+strings.Join(append(strings.Fields(allowed), "bbr"), " ")+"', and for every boot in /etc/sysctl.d",
			"the server's user may not choose BBR (%s)", allowed)
	default:
		d.add(levelOK, "kernel", "", "BBR can be chosen; the default is %s", sysctl("net.ipv4.tcp_congestion_control"))
	}
	for _, buffer := range []struct {
		name  string
		least int64
	}{{"net.ipv4.tcp_rmem", leastReadBuffer}, {"net.ipv4.tcp_wmem", leastWriteBuffer}} {
		fields := strings.Fields(sysctl(buffer.name))
		if len(fields) != 3 {
			continue
		}
		most, err := strconv.ParseInt(fields[2], 10, 64)
		if err != nil {
			continue
		}
		if most < buffer.least {
			d.add(levelWarn, "kernel", "sysctl -w "+buffer.name+"='"+fields[0]+" "+fields[1]+" "+strconv.FormatInt(buffer.least, 10)+"', and for every boot in /etc/sysctl.d",
				"%s lets a connection have %d bytes, which is little for far receivers", buffer.name, most)
			continue
		}
		d.add(levelOK, "kernel", "", "%s lets a connection have %d bytes", buffer.name, most)
	}
	for _, name := range []string{"net.ipv4.tcp_window_scaling", "net.ipv4.tcp_moderate_rcvbuf"} {
		if sysctl(name) == "0" {
			d.add(levelWarn, "kernel", "sysctl -w "+name+"=1, and for every boot in /etc/sysctl.d", "%s is 0: transfers to far receivers are slow", name)
		}
	}
}
