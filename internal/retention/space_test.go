package retention_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"jetstream/internal/retention"
	"jetstream/internal/transfer"
)

// TestLargeDatabaseLosesTheOldestRecordsFirst: before their lifetime has ended, and only as
// many as must; never what is under way or young.
func TestLargeDatabaseLosesTheOldestRecordsFirst(t *testing.T) {
	h := open(t, t.TempDir())
	defer func() { h.must(h.db.Close()) }()
	const files = 4000 // about half a megabyte a list
	size := func() int64 {
		t.Helper()
		n, err := h.db.UsedBytes(t.Context())
		h.must(err)
		return n
	}
	for _, m := range []struct {
		id     string
		age    time.Duration
		status transfer.Status
	}{{"m47", 47 * time.Hour, transfer.StatusComplete}, {"m20", 20 * time.Hour, transfer.StatusComplete},
		{"mNew", 10 * time.Minute, transfer.StatusComplete}, {"mPending", 47 * time.Hour, transfer.StatusPending}, {"mSent", 47 * time.Hour, transfer.StatusComplete}} {
		h.manifest(m.id, m.age, m.status)
		h.must(h.db.Transfers().Update(t.Context(), func(tx transfer.Tx) error {
			list := make([]transfer.ManifestFile, files)
			for i := range list {
				list[i] = transfer.ManifestFile{Index: int64(i + 1), Source: fmt.Sprintf("/source/%s/%d", strings.Repeat("s", 60), i), Name: fmt.Sprintf("/name/%d", i)}
			}
			_, err := tx.AddManifestFiles(m.id, list)
			return err
		}))
	}
	h.sent("sActive", "mSent", 0, transfer.StatusActive, false)
	h.sent("s30", "mGone", 30*time.Hour, transfer.StatusComplete, false)
	for id, age := range map[string]time.Duration{"r40": 40 * time.Hour, "r2": 2 * time.Hour, "rNew": time.Minute} {
		h.received(transfer.RecvTransfer{TransferID: id, Status: transfer.StatusComplete, StartTime: ago(age), EndTime: ago(age), Conflict: "overwrite"}, files)
	}
	h.received(transfer.RecvTransfer{TransferID: "rOpen", Processing: true, Status: transfer.StatusReceiving, StartTime: ago(47 * time.Hour), Conflict: "overwrite"}, files)
	run := func(most int64, want ...string) {
		t.Helper()
		var err error
		h.Collector, err = retention.New(t.Context(), retention.Options{Sent: h.engine, Received: h.receiver, Metadata: h.db, Database: h.db, MaxBytes: most})
		h.must(err)
		_, err = h.Run(t.Context())
		h.must(err)
		left := strings.Fields(h.left())
		if len(left) != len(want) {
			t.Errorf("with at most %d bytes %q is left, want %q", most, left, want)
		}
		for _, id := range want {
			if !strings.Contains(" "+h.left(), " "+id+" ") {
				t.Errorf("with at most %d bytes %q is left, without %s", most, left, id)
			}
		}
	}
	begin := size()
	run(0, "m47", "m20", "mNew", "mPending", "mSent", "sActive", "s30", "r40", "r2", "rNew", "rOpen")
	run(begin, "m47", "m20", "mNew", "mPending", "mSent", "sActive", "s30", "r40", "r2", "rNew", "rOpen")
	run(begin-4096, "m20", "mNew", "mPending", "mSent", "sActive", "s30", "r2", "rNew", "rOpen") // m47 and r40
	if now := size(); now >= begin-4096 {
		t.Errorf("%d bytes are in use, %d were", now, begin)
	}
	run(1, "mNew", "mPending", "mSent", "sActive", "rNew", "rOpen")
}
