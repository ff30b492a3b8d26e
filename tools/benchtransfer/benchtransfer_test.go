//go:build linux

package main

import (
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestMedian(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		values []float64
		want   float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1}, 5}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 2, 3}, 2.5}} {
		if got := median(c.values); got != c.want {
			t.Errorf("median of %v is %v instead of %v", c.values, got, c.want)
		}
	}
}

func TestProcFilesAreRead(t *testing.T) {
	t.Parallel()
	d, err := parseStat("42 (a) b (c) S 1 42 42 0 -1 4194560 5 6 7 8 100 20 3 4 20 0 1 0 99 1 1")
	if err != nil || d != 127*tick {
		t.Errorf("processor time %v (%v)", d, err)
	}
	if _, err := parseStat("42 (cut S 1"); err == nil {
		t.Error("a broken line was taken")
	}
	if n := parsePeak("VmPeak:\t  9 kB\nVmHWM:\t  1234 kB\nVmRSS:\t 5 kB\n"); n != 1234<<10 {
		t.Errorf("peak %d", n)
	}
	const table = `  sl  local_address rem_address   st
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000
   1: 0100007F:1F91 0100007F:1F90 01 00000000:00000000
`
	if !hasListener(table, 8080) || hasListener(table, 8081) {
		t.Error("the listener is not found, or a connection was taken for one")
	}
	if got := valueIn("a : 1\nmodel name\t: A   chip\n", "model name"); got != "A chip" {
		t.Errorf("model %q", got)
	}
	if got := cipherIn("debug1: x\ndebug1: kex: client->server cipher: aes MAC: none\n"); got != "aes" {
		t.Errorf("cipher %q", got)
	}
}

func TestOwnProcess(t *testing.T) {
	t.Parallel()
	p, err := startProcess("a shell", "", []string{"sh", "-c", "sleep 60 & echo ready; wait"})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.await(t.Context(), func() bool { return p.log.String() == "ready\n" }); err != nil {
		t.Fatal(err)
	}
	left := children(p.pid())
	p.end()
	if len(left) != 1 || !p.hasEnded() {
		t.Errorf("children %v; ended: %v", left, p.hasEnded())
	}
	if p, err = startProcess("false", "", []string{"sh", "-c", "echo no way; exit 1"}); err != nil {
		t.Fatal(err)
	}
	if err := p.await(t.Context(), func() bool { return false }); err == nil || err.Error() != "false ended: no way" {
		t.Errorf("error %v", err)
	}
}

func TestToolIsCutOffAtItsLimit(t *testing.T) {
	t.Parallel()
	c := contest{to: t.TempDir(), limit: 2 * time.Second, data: dataset{name: "x"}, progress: io.Discard}
	m, err := c.one(t.Context(), tool("slow", "", nil, func(_, to string) [][]string {
		return [][]string{{"sh", "-c", "echo 12345 > $0/x; sleep 60", to}}
	}))
	if err != nil || !m.cut || m.bytes != 6 || m.elapsed > 30*time.Second {
		t.Errorf("%+v, %v", m, err)
	}
	_, err = c.one(t.Context(), tool("broken", "", nil, func(string, string) [][]string { return [][]string{{"sh", "-c", "echo why >&2; exit 3"}} }))
	if err == nil || err.Error() != "sh: exit status 3: why" {
		t.Errorf("error %v", err)
	}
}

func TestTreesAreCompared(t *testing.T) {
	t.Parallel()
	d := dataset{name: "d", files: 101, size: 3}
	from, to := t.TempDir(), t.TempDir()
	if err := errors.Join(d.create(from), d.create(to)); err != nil {
		t.Fatal(err)
	}
	want, got := filepath.Join(from, "d"), filepath.Join(to, "d")
	if err := sameTrees(want, got); err != nil {
		t.Error(err)
	}
	if n := arrived(got); n != 303 {
		t.Errorf("%d bytes arrived", n)
	}
	victim := filepath.Join(got, "001", "00100.bin")
	for _, c := range []struct{ name, text, say string }{
		{victim, "abc", "arrived changed"}, {victim, "abcd", "arrived changed"}, {victim + ".part", "", "102 files arrived instead of 101"},
	} {
		was, _ := os.ReadFile(c.name)
		if err := os.WriteFile(c.name, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := sameTrees(want, got); err == nil || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%s: %v", c.name, err)
		}
		if err := os.WriteFile(c.name, was, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Truncate(victim, 1<<20); err != nil {
		t.Fatal(err)
	}
	if n := arrived(got); n > 100<<10 {
		t.Errorf("a hole counts as arrived: %d bytes", n)
	}
}

func runs(seconds ...float64) (all []measure) {
	for _, s := range seconds {
		all = append(all, measure{elapsed: time.Duration(s * float64(time.Second)), bytes: gib, cpuSend: time.Second, cpuRecv: 2 * time.Second})
	}
	return all
}

func TestTables(t *testing.T) {
	t.Parallel()
	ours := runs(2, 1, 3)
	ours[1].peak, ours[2].peak, ours[2].latePeak = [2]int64{70 * mib, 50 * mib}, [2]int64{60 * mib, 55 * mib}, [2]int64{9 * mib, 8 * mib}
	slow := runs(4)
	slow[0].cut, slow[0].bytes = true, gib/2
	var out strings.Builder
	localTable(dataset{files: 1, size: gib}, []row{{name: "JetStream", ours: true, runs: ours}, {name: "peer", runs: slow}, {name: "none", err: io.EOF}}).write(&out)
	b := &bench{out: &out}
	b.showFailures("here, ", []row{{name: "none", err: io.EOF}})
	lines := []link{{rtt: 100 * time.Millisecond, loss: 0.1, burst: 1}, {rtt: 100 * time.Millisecond, loss: 2, burst: 4}}
	column := func(a, b, c float64) []row {
		return []row{{name: "JetStream", control: "bbr", ours: true, runs: runs(a)}, {name: "JetStream without BBR", control: "cubic", ours: true, runs: runs(b)},
			{name: "peer", control: "cubic", runs: runs(c)}, {name: "peer", control: "bbr", runs: runs(c / 2)}}
	}
	columns := [][]row{column(100, 200, 400), column(150, 300, 400)}
	columns[1][3].runs = nil
	columns[0][2].runs[0].cut = true
	wanTable(lines, columns).write(&out)
	const want = `| program          | seconds (min-max) | MiB/s | time / ours | CPU s/GiB send + receive | peak RSS MiB send / receive | from 3rd second |
| ---------------- | ----------------: | ----: | ----------: | -----------------------: | --------------------------: | --------------: |
| JetStream        |  2.00 (1.00-3.00) |   512 |        1.00 |       1.00 + 2.00 = 3.00 |                     70 / 55 |           9 / 8 |
| peer (cut off)   |  4.00 (4.00-4.00) |   128 |        4.00 |       2.00 + 4.00 = 6.00 |                           - |               - |

failed: here, none after 0 runs: EOF
| program, congestion control                   | 100 ms, 0.1 % | 100 ms, 2 % by 4 |
| --------------------------------------------- | ------------: | ---------------: |
| JetStream, bbr                                |          85.9 |             57.3 |
| JetStream without BBR, cubic                  |          42.9 |             28.6 |
| peer, cubic                                   |        21.5 c |             21.5 |
| peer, bbr                                     |          42.9 |                - |
| JetStream / best peer                         |          2.00 |             2.67 |
| JetStream without BBR / best peer with cubic  |          2.00 |             1.33 |
`
	squeeze := func(s string) string { return regexp.MustCompile(` +|-{2,}`).ReplaceAllString(s, " ") }
	if diff := cmp.Diff(squeeze(want), squeeze(out.String())); diff != "" {
		t.Error(diff)
	}
}

func TestFlags(t *testing.T) {
	t.Parallel()
	o, err := parseFlags([]string{"-only", "wan,loopback", "-case", "big", "-peers", "GRIDFTP", "-quick"}, io.Discard)
	if err != nil || len(o.only) != 2 || !o.cases.MatchString("wanbig 100 ms, 1 %") || !o.peers.MatchString("GridFTP -p 4") {
		t.Errorf("%+v, %v", o, err)
	}
	for _, args := range [][]string{{"-only", "moon"}, {"-n", "0"}, {"-case", "("}, {"-peers", "("}, {"-limit", "0s"}, {"argument"}, {"-nothing"}} {
		if _, err := parseFlags(args, io.Discard); err == nil {
			t.Errorf("%v was taken", args)
		}
	}
	if _, err := parseFlags([]string{"-help"}, io.Discard); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("-help: %v", err)
	}
}

// The whole program, with few files and cp beside it, leaves a page and nothing
// else.
func TestQuickRun(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs two servers")
	}
	t.Chdir("../..")
	dir, disk := t.TempDir(), t.TempDir()
	page := filepath.Join(t.TempDir(), "performance.md")
	o, err := parseFlags([]string{"-quick", "-only", "loopback,durable", "-case", "^small$", "-peers", "^cp", "-n", "1",
		"-dir", dir, "-disk", disk, "-write", page}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	var out, progress strings.Builder
	if err := run(t.Context(), o, &out, &progress); err != nil {
		t.Fatalf("%v\n%s", err, &progress)
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"# Performance", "## Machine and programs", "### 500 files of 16 KiB", "\n| JetStream ", "\n| cp -r ", "\n| cp -r, then sync -f "} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(out.String(), "failed:") {
		t.Errorf("printed\n%s", &out)
	}
	for _, each := range []string{dir, disk} {
		if left, _ := os.ReadDir(each); len(left) != 0 {
			t.Errorf("%s still has %v", each, left)
		}
	}
}
