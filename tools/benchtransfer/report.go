//go:build linux

package main

import (
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

// perGiB is the processor time of sender and receiver, and of both, in seconds
// for each GiB that arrived.
func perGiB(runs []measure) string {
	var send, recv time.Duration
	size := int64(0)
	for _, m := range runs {
		send, recv, size = send+m.cpuSend, recv+m.cpuRecv, size+m.bytes
	}
	if size == 0 {
		return none
	}
	of := func(d time.Duration) float64 { return d.Seconds() * gib / float64(size) }
	return fmt.Sprintf("%.2f + %.2f = %.2f", of(send), of(recv), of(send+recv))
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
	t := &table{head: []string{"program", "seconds (min-max)", speed, "time / ours", "CPU s/GiB send + receive", "peak RSS MiB send / receive", "from 3rd second"}}
	best, _ := oursOf(rows)
	for _, r := range rows {
		if len(r.runs) == 0 {
			continue
		}
		times, note := of(r.runs, seconds), ""
		if wasCut(r) {
			note = " (cut off)"
		}
		amount := float64(d.bytes()) / mib
		if d.small {
			amount = float64(d.files)
		}
		t.add(r.name+note, fmt.Sprintf("%.2f (%.2f-%.2f)", median(times), slices.Min(times), slices.Max(times)),
			fmt.Sprintf("%.0f", amount*rate(r)/float64(d.bytes())), ratio(rate(best), rate(r)),
			perGiB(r.runs),
			memory(r.runs, func(m measure) [2]int64 { return m.peak }), memory(r.runs, func(m measure) [2]int64 { return m.latePeak }))
	}
	return t
}

// rate is bytes of files in a second.
func rate(r row) float64 {
	return median(of(r.runs, func(m measure) float64 { return float64(m.bytes) / m.elapsed.Seconds() }))
}

// ofLink is the share of a link that a row used: percent of its rate.
func ofLink(r row) float64 { return rate(r) * 8 / (mbits * 1e6) * 100 }

func wasCut(r row) bool { return slices.ContainsFunc(r.runs, func(m measure) bool { return m.cut }) }

// find is the row of a candidate.
func find(rows []row, name, control string) row {
	for _, r := range rows {
		if r.name == name && r.control == control {
			return r
		}
	}
	return row{}
}

// wanTable compares the shares of the links.
func wanTable(links []link, rows [][]row) *table {
	t := &table{head: []string{"program, congestion control"}}
	for _, l := range links {
		t.head = append(t.head, l.name())
	}
	for _, first := range rows[0] {
		cells := []string{first.name + ", " + first.control}
		for _, column := range rows {
			r, cell := find(column, first.name, first.control), none
			if len(r.runs) > 0 {
				cell = fmt.Sprintf("%.1f", ofLink(r))
			}
			if wasCut(r) {
				cell += " c"
			}
			cells = append(cells, cell)
		}
		t.add(cells...)
	}
	for _, first := range rows[0] {
		if !first.ours {
			continue
		}
		cells := []string{first.name + " / best peer"}
		if first.control == "cubic" {
			cells[0] += " with cubic"
		}
		for _, column := range rows {
			cells = append(cells, ratio(ofLink(find(column, first.name, first.control)), bestPeer(column, first.control)))
		}
		t.add(cells...)
	}
	return t
}

// bestPeer is the highest share of a peer: one with cubic if we have no more,
// else of all.
func bestPeer(rows []row, control string) (best float64) {
	for _, r := range rows {
		if !r.ours && len(r.runs) > 0 && (control != "cubic" || r.control == control) {
			best = max(best, ofLink(r))
		}
	}
	return best
}

// costTable is what our servers used on the links.
func costTable(links []link, rows [][]row) *table {
	t := &table{head: []string{"link, program", "seconds", "CPU s/GiB send + receive", "peak RSS MiB send / receive", "from 3rd second"}}
	for i, l := range links {
		for _, r := range rows[i] {
			if r.ours && len(r.runs) > 0 {
				t.add(l.name()+", "+r.name, fmt.Sprintf("%.2f", median(of(r.runs, seconds))),
					perGiB(r.runs),
					memory(r.runs, func(m measure) [2]int64 { return m.peak }), memory(r.runs, func(m measure) [2]int64 { return m.latePeak }))
			}
		}
	}
	return t
}

// showWAN prints the tables of the links: percent used, then what it cost.
func (b *bench) showWAN(results []wanResults) {
	_, _ = fmt.Fprintf(b.out, "\n## WAN: %d Mbit/s, percent of the link\n\nA run marked c was cut off at its time limit; what had arrived counts.\n", mbits)
	for _, r := range results {
		for _, grid := range []bool{false, true} {
			part := r.only(grid)
			if len(part.links) == 0 {
				continue
			}
			lines := "100 ms, and more and more loss"
			if grid {
				lines = "other lines"
			}
			_, _ = fmt.Fprintf(b.out, "\n### %s: %s\n\n", title(r.data), lines)
			wanTable(part.links, part.rows).write(b.out)
			_, _ = fmt.Fprintln(b.out)
			costTable(part.links, part.rows).write(b.out)
			for i, rows := range part.rows {
				b.showFailures(part.links[i].name()+", ", rows)
			}
		}
	}
	b.showSmallToBig(results)
}

// only is the part of the results on links that are of the grid, or not.
func (r wanResults) only(grid bool) wanResults {
	part := wanResults{data: r.data}
	for i, l := range r.links {
		if l.grid == grid {
			part.links, part.rows = append(part.links, l), append(part.rows, r.rows[i])
		}
	}
	return part
}

// showSmallToBig prints how much slower ours sends many files than one.
func (b *bench) showSmallToBig(results []wanResults) {
	t := &table{head: []string{"link", "rate of many files / of one"}}
	for i, l := range results[0].links {
		big, _ := oursOf(results[0].rows[i])
		for j, other := range results[1].links {
			if small, ok := oursOf(results[1].rows[j]); ok && other == l && len(big.runs) > 0 {
				t.add(l.name(), ratio(ofLink(small), ofLink(big)))
			}
		}
	}
	if len(t.rows) > 0 {
		_, _ = fmt.Fprint(b.out, "\n### JetStream: many small files beside one big file\n\n")
		t.write(b.out)
	}
}

// title is the dataset's title as a headline.
func title(d dataset) string { return strings.ToUpper(d.title[:1]) + d.title[1:] }

// showFailures prints which rows lack runs and why.
func (b *bench) showFailures(head string, rows []row) {
	for _, r := range rows {
		if r.err != nil {
			_, _ = fmt.Fprintf(b.out, "\nfailed: %s%s %s after %d runs: %s\n", head, r.name, r.control, len(r.runs), lastLine(r.err.Error()))
		}
	}
}
