package transfer

import (
	"testing"
	"time"
)

func TestKeptIsWhatIsTheSameOrNewer(t *testing.T) {
	at := func(s string) time.Time {
		when, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			t.Fatal(err)
		}
		return when
	}
	const whole, fraction, later = "2026-01-02T03:04:05Z", "2026-01-02T03:04:05.123456789Z", "2026-01-02T03:04:06.5Z"
	for _, c := range []struct {
		have            string
		haveSize        int64
		sent            string
		changed, update bool
	}{
		{whole, 10, whole, true, true},
		{whole, 11, whole, false, true},
		{whole, 10, fraction, true, true}, // the receiver's file system keeps whole seconds
		{fraction, 10, whole, true, true},
		{"2026-01-02T03:04:05.123Z", 10, fraction, true, true},
		{"2026-01-02T03:04:05.124Z", 10, fraction, false, true},
		{fraction, 10, "2026-01-02T03:04:05.123456790Z", false, false},
		{fraction, 10, "2026-01-02T03:04:05.123456788Z", false, true},
		{whole, 10, later, false, false},
		{later, 10, whole, false, true},
		{"1969-12-31T23:59:58Z", 10, "1969-12-31T23:59:58.25Z", true, true},
	} {
		for conflict, want := range map[string]bool{ConflictChanged: c.changed, ConflictUpdate: c.update, ConflictSkip: true, ConflictOverwrite: false} {
			if got := Keeps(conflict, c.haveSize, at(c.have), 10, at(c.sent)); got != want {
				t.Errorf("%s: %s with %d bytes kept instead of %s with 10: %v, want %v", conflict, c.have, c.haveSize, c.sent, got, want)
			}
		}
	}
}
