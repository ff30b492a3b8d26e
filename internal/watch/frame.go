package watch

import (
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"jetstream/internal/terminal"
	"jetstream/internal/transfer"
)

const (
	// leastLabel is to how many columns the label is cut before a part is left out.
	leastLabel = 16
	// leastBar and mostBar bound the columns of a bar.
	leastBar, mostBar = 8, 40
	// gap separates the parts of a line.
	gap = "  "
)

// done returns what needs no more sending: what has been sent and what the receiver has
// already.
func done(t *transfer.Transfer) (files, bytes int64) {
	if t.Status == transfer.StatusComplete {
		return t.TotalFiles, t.TotalBytes
	}
	return min(t.FilesSent+t.FilesUnchanged, t.TotalFiles), min(t.BytesSent+t.BytesUnchanged, t.TotalBytes)
}

// percent says how much of t is done, by bytes or, where there are none, by files.
func percent(t *transfer.Transfer) int64 {
	files, bytes := done(t)
	switch {
	case t.TotalBytes > 0:
		return int64(float64(bytes) / float64(t.TotalBytes) * 100)
	case t.TotalFiles > 0:
		return files * 100 / t.TotalFiles
	case t.Status == transfer.StatusComplete:
		return 100
	}
	return 0
}

// frame describes t in a line of at most width columns: of many files their number as
// well. What matters least is left out where there is no room.
func frame(label string, t *transfer.Transfer, now time.Time, width int) string {
	files, bytes := done(t)
	short := terminal.Cut(label, leastLabel)
	part := fmt.Sprintf("%3d %%", percent(t))
	count := ""
	if t.TotalFiles > 1 {
		total := fmt.Sprint(t.TotalFiles)
		count = fmt.Sprintf("%*d/%s files", len(total), files, total)
	}
	amount := fmt.Sprintf("%8s of %s", Bytes(bytes), Bytes(t.TotalBytes))
	state := stateText(t, now)
	for _, parts := range [][]string{
		{label, part, count, amount, state},
		{short, part, count, amount, state},
		{part, count, amount, state},
		{part, amount, state},
		{part, state},
		{part},
	} {
		text := joined(parts)
		room := width - terminal.Width(text) - len(gap)
		if room < -len(gap) {
			continue
		}
		if room < leastBar || parts[0] == part || !t.Processing {
			return text
		}
		return joined([]string{parts[0], part, bar(percent(t), min(room, mostBar)), count, amount, state})
	}
	return terminal.Cut(part, width)
}

func joined(parts []string) string {
	var given []string
	for _, p := range parts {
		if p != "" {
			given = append(given, p)
		}
	}
	return strings.Join(given, gap)
}

func bar(percent int64, columns int) string {
	inside := columns - 2
	full := int(percent) * inside / 100
	tip := ""
	if full < inside {
		tip = ">"
	}
	return "[" + strings.Repeat("=", full) + tip + strings.Repeat(" ", inside-full-len(tip)) + "]"
}

// stateText says how fast t goes and how long it takes, or what it waits for.
func stateText(t *transfer.Transfer, now time.Time) string {
	_, bytes := done(t)
	switch {
	case !t.Processing && t.Status == transfer.StatusComplete:
		return "complete"
	case !t.Processing || t.Status == transfer.StatusSuspended:
		return string(t.Status)
	case t.NextAttemptTime != 0:
		return "next try in " + seconds(t.NextAttemptTime.Std().Sub(now))
	case t.Status == transfer.StatusPending && t.ErrorMessage != "":
		return "trying again"
	case t.Status == transfer.StatusPending:
		return "connecting"
	case bytes >= t.TotalBytes:
		return "finishing"
	}
	left := ""
	if t.EtaSeconds != nil {
		left = clock(*t.EtaSeconds) + " left"
	}
	return joined([]string{fmt.Sprintf("%10s", Rate(t.Rate)), left})
}

func seconds(d time.Duration) string {
	return fmt.Sprintf("%d s", max(int64((d+time.Second-1)/time.Second), 1))
}

// clock writes a number of seconds as a stopwatch does.
func clock(s int64) string {
	switch {
	case s >= 2*24*3600:
		return fmt.Sprintf("%d days", s/(24*3600))
	case s >= 3600:
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}

// Bytes writes a number of bytes for people.
func Bytes(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }

// Rate writes a rate in kbit/s for people.
func Rate(kbits float64) string { return humanize.SIWithDigits(kbits*1000, 1, "bit/s") }
