package sender

import (
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
)

// The congestion control is that for receivers nearby on loopback, and the one
// asked for otherwise, where the kernel lets it be chosen.
func TestCongestionControlFollowsTheDistance(t *testing.T) {
	b, err := os.ReadFile("/proc/sys/net/ipv4/tcp_allowed_congestion_control")
	if err != nil {
		t.Fatal(err)
	}
	available, err := os.ReadFile("/proc/sys/net/ipv4/tcp_available_congestion_control")
	if err != nil {
		t.Fatal(err)
	}
	may := func(name string) bool {
		return strings.Contains(string(b), name) || os.Geteuid() == 0 && strings.Contains(string(available), name)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for _, want := range []string{CongestionAuto, CongestionCubic, CongestionBBR} {
		nc, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		var log strings.Builder
		s := &Sender{o: Options{Congestion: want}, log: slog.New(slog.NewTextHandler(&log, nil))}
		before := readLink(nc).control
		got := s.choose(nc)
		if got.control != readLink(nc).control || got.control == "" {
			t.Errorf("%s: it says %q, the kernel %q", want, got.control, readLink(nc).control)
		}
		chosen := want
		if want == CongestionAuto {
			chosen = CongestionCubic
			if got.roundTrip >= near {
				chosen = CongestionBBR
			}
		}
		if may(chosen) && got.control != chosen || !may(chosen) && got.control != before {
			t.Errorf("%s at %v: it is %q, want %q (allowed: %v)", want, got.roundTrip, got.control, chosen, may(chosen))
		}
		if may(chosen) != (log.Len() == 0) {
			t.Errorf("%s: allowed %v, and the log says %q", want, may(chosen), log.String())
		}
		_ = nc.Close()
	}
}
