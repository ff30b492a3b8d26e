package server

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"jetstream/handlers"
)

// TestDisksThatDoNotAnswerAreNotWaitedFor: health tells what was measured last, and that
// a disk is silent.
func TestDisksThatDoNotAnswerAreNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{}
		s.disks.measuring, s.disks.since = make(chan struct{}), time.Now()
		s.disks.last = []disk{{Disk: handlers.Disk{What: "state"}}}
		begin := time.Now()
		got := s.disksNow(t.Context())
		if took := time.Since(begin); len(got) != 1 || took != diskPatience {
			t.Errorf("after %v there are %v", took, got)
		}
		if faults := s.diskFaults(got); len(faults) != 1 || !strings.Contains(faults[0], "has not answered since") {
			t.Errorf("the faults are %q", faults)
		}
	})
}
