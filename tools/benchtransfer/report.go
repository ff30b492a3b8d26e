//go:build linux

package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// median is the middle of the values, or the mean of the two in the middle.
func median[T int64 | float64](values []T) T {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// of collects one number of each run.
func of[T int64 | float64](runs []measure, get func(measure) T) []T {
	values := make([]T, len(runs))
	for i, m := range runs {
		values[i] = get(m)
	}
	return values
}

func seconds(m measure) float64 { return m.elapsed.Seconds() }

// table is a table in Markdown whose columns are aligned.
type table struct {
	head []string
	rows [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

func (t *table) write(w io.Writer) {
	width := make([]int, len(t.head))
	for _, cells := range append([][]string{t.head}, t.rows...) {
		for i, cell := range cells {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	line := func(cells []string) {
		var b strings.Builder
		for i, cell := range cells {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
			if i > 0 {
				cell, pad = pad+cell, ""
			}
			b.WriteString("| " + cell + pad + " ")
		}
		_, _ = fmt.Fprintln(w, b.String()+"|")
	}
	line(t.head)
	var rule strings.Builder
	for i, n := range width {
		if i == 0 {
			rule.WriteString("| " + strings.Repeat("-", n) + " ")
		} else {
			rule.WriteString("| " + strings.Repeat("-", n-1) + ": ")
		}
	}
	_, _ = fmt.Fprintln(w, rule.String()+"|")
	for _, cells := range t.rows {
		line(cells)
	}
}

// none stands for a number that there is not.
const none = "-"

func ratio(a, b float64) string {
	if b == 0 {
		return none
	}
	return fmt.Sprintf("%.2f", a/b)
}

// perGiB is processor time for the bytes that arrived.
func perGiB(runs []measure, get func(measure) time.Duration) string {
	total, size := time.Duration(0), int64(0)
	for _, m := range runs {
		total += get(m)
		size += m.bytes
	}
	if size == 0 {
		return none
	}
	return fmt.Sprintf("%.2f", total.Seconds()*gib/float64(size))
}

// memory is the highest of the peaks of sender and receiver, in MiB.
func memory(runs []measure, get func(measure) [2]int64) string {
	var peak [2]int64
	for _, m := range runs {
		for i, n := range get(m) {
			peak[i] = max(peak[i], n)
		}
	}
	if peak == [2]int64{} {
		return none
	}
	return fmt.Sprintf("%d / %d", (peak[0]+mib/2)/mib, (peak[1]+mib/2)/mib)
}

// oursOf is the first row of ours that has runs.
func oursOf(rows []row) (row, bool) {
	for _, r := range rows {
		if r.ours && len(r.runs) > 0 {
			return r, true
		}
	}
	return row{}, false
}

// localTable compares rows by their times.
func localTable(d dataset, rows []row) *table {
	speed := "MiB/s"
	if d.small {
		speed = "files/s"
	}
	t := &table{head: []string{"program", "seconds (min-max)", speed, "time / ours", "CPU s/GiB send", "receive", "peak RSS MiB, both servers", "from 3rd second"}}
	best, found := oursOf(rows)
	for _, r := range rows {
		if len(r.runs) == 0 {
			continue
		}
		times := of(r.runs, seconds)
		took := median(times)
		amount := float64(d.bytes()) / mib
		if d.small {
			amount = float64(d.files)
		}
		against := none
		if found {
			against = ratio(took, median(of(best.runs, seconds)))
		}
		note := ""
		if slices.ContainsFunc(r.runs, func(m measure) bool { return m.cut }) {
			note, amount = " (cut off)", amount*float64(median(of(r.runs, func(m measure) int64 { return m.bytes })))/float64(d.bytes())
		}
		t.add(r.name+note, fmt.Sprintf("%.2f (%.2f-%.2f)", took, slices.Min(times), slices.Max(times)), fmt.Sprintf("%.0f", amount/took), against,
			perGiB(r.runs, func(m measure) time.Duration { return m.cpuSend }), perGiB(r.runs, func(m measure) time.Duration { return m.cpuRecv }),
			memory(r.runs, func(m measure) [2]int64 { return m.peak }), memory(r.runs, func(m measure) [2]int64 { return m.latePeak }))
	}
	return t
}

// failures says of each row without all of its runs why.
func failures(rows []row) (all []string) {
	for _, r := range rows {
		if r.err != nil {
			all = append(all, fmt.Sprintf("%s: %s after %d runs", r.name, cmp.Or(lastLine(r.err.Error()), "failed"), len(r.runs)))
		}
	}
	return all
}
