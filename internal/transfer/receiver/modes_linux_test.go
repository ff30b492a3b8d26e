package receiver_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"jetstream/internal/transfer/receiver"
	"jetstream/internal/transfer/wire"
)

// TestModesAndGroupOfTheReceiver: those of its options, whatever the sender has and the
// umask is; a setgid directory keeps its group and gives it on.
func TestModesAndGroupOfTheReceiver(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to give files other groups")
	}
	defer syscall.Umask(syscall.Umask(0o077))
	const setgid = 0o2000
	type kept struct {
		mode uint32 // with setgid
		gid  uint32
	}
	group := 4321
	for name, tt := range map[string]struct {
		modes receiver.Modes
		want  map[string]kept
	}{
		"as sent": {receiver.Modes{}, map[string]kept{
			"d": {0o711, 0}, "d/f": {0o755, 0}, "way": {0o750, 0}, "way/on": {0o750, 0}, "way/on/g": {0o600, 0},
			"drop": {setgid | 0o775, 1234}, "drop/f": {0o644, 1234}, "drop/new": {setgid | 0o755, 1234}, "drop/new/g": {0o644, 1234}, "drop/way": {setgid | 0o750, 1234},
		}},
		"chosen": {receiver.Modes{File: 0o640, Dir: 0o2770, Group: &group}, map[string]kept{
			"d": {setgid | 0o770, 4321}, "d/f": {0o640, 4321}, "way": {setgid | 0o770, 4321}, "way/on": {setgid | 0o770, 4321}, "way/on/g": {0o640, 4321},
			"drop": {setgid | 0o775, 1234}, "drop/f": {0o640, 4321}, "drop/new": {setgid | 0o770, 4321}, "drop/new/g": {0o640, 4321}, "drop/way": {setgid | 0o770, 4321},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, t.TempDir())
			s.Stop()
			s.Modes = tt.modes
			s.Start()
			drop := filepath.Join(s.Sandbox, "drop")
			if err := os.Mkdir(drop, 0o775); err != nil {
				t.Fatal(err)
			}
			if err := os.Chown(drop, -1, 1234); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(drop, 0o775|os.ModeSetgid); err != nil {
				t.Fatal(err)
			}
			p := newSender(t, s)
			entries := []wire.Entry{
				{Name: "/d", Mode: 0o711, Dir: true}, {Name: "/d/f", Size: 1, Mode: 0o755}, {Name: "/drop/f", Size: 1, Mode: 0o644},
				{Name: "/drop/new", Mode: 0o755, Dir: true}, {Name: "/drop/new/g", Size: 1, Mode: 0o644}, {Name: "/drop/way/h", Size: 1, Mode: 0o644},
				{Name: "/way/on/g", Size: 1, Mode: 0o600},
			}
			p.begin(entries...)
			for i, e := range entries {
				if e.Size > 0 {
					p.data(int64(i), 0, []byte("x"))
				}
			}
			p.send(wire.TypeEnd, struct{}{})
			p.wantAnswer("complete", "")
			for name, want := range tt.want {
				info, err := os.Stat(filepath.Join(s.Sandbox, name))
				if err != nil {
					t.Error(err)
					continue
				}
				st := info.Sys().(*syscall.Stat_t)
				if st.Mode&0o7777 != want.mode || st.Gid != want.gid {
					t.Errorf("%s has mode %04o and group %d, want %04o and %d", name, st.Mode&0o7777, st.Gid, want.mode, want.gid)
				}
			}
			if row := s.Received(p.xfer); row.ErrorMessage != "" {
				t.Errorf("the transfer says %q", row.ErrorMessage)
			}
		})
	}
}
