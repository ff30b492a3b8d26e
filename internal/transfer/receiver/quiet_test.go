package receiver

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Of 13,000 lines of one kind the first is logged at once, then one a minute.
func TestLinesOfOneKindAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		q := newQuietLog(slog.New(slog.NewTextHandler(&text, nil)))
		for i := range 13_000 {
			q.warn("refused", "from", i)
			time.Sleep(10 * time.Millisecond) //nolint:forbidigo // the bubble's clock
		}
		q.warn("another kind")
		time.Sleep(5 * time.Minute) //nolint:forbidigo // the bubble's clock
		q.warn("refused", "from", "later")
		lines := strings.Count(text.String(), "\n")
		if lines != 6 || !strings.Contains(text.String(), "msg=refused from=0\n") || !strings.Contains(text.String(), "timesInTheLastMinute=") ||
			!strings.Contains(text.String(), "another kind") || !strings.Contains(text.String(), "from=later\n") {
			t.Errorf("%d lines:\n%s", lines, text.String())
		}
		time.Sleep(5 * time.Minute) //nolint:forbidigo // the bubble's clock
	})
}
