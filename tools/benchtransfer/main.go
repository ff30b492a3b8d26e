//go:build linux

// Command benchtransfer measures JetStream against the programs that people
// copy files with today, all in one run on one machine: cp, scp, rsync, rclone
// and GridFTP, as far as they are installed. See CONTRIBUTING.md.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	jetstream string
	dir, disk string
	only      []string
	cases     *regexp.Regexp
	peers     *regexp.Regexp
	repeats   int
	limit     time.Duration
	quick     bool
	write     string

	wanRepeats int
	wanLinks   int
	wanLimit   time.Duration
}

func parts() []string { return []string{"loopback", "durable", "wan"} }

// parseFlags reads the command line.
func parseFlags(args []string, stderr io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("benchtransfer", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.jetstream, "jetstream", "", "program to measure; without it, it is built from this checkout")
	flags.StringVar(&o.dir, "dir", "/dev/shm", "directory in memory for the files that are sent and, but for the durable part, the targets")
	flags.StringVar(&o.disk, "disk", os.TempDir(), "directory on a disk for the targets of the durable part")
	only := flags.String("only", strings.Join(parts(), ","), "parts to measure")
	cases := flags.String("case", "", "regular expression: measure only cases with such a name")
	others := flags.String("peers", "", "regular expression: measure only peers with such a name")
	flags.IntVar(&o.repeats, "n", 3, "repeats of each measurement; the median counts")
	flags.DurationVar(&o.limit, "limit", 2*time.Minute, "time limit of one run")
	flags.IntVar(&o.wanRepeats, "wan-n", 1, "repeats on a WAN")
	flags.IntVar(&o.wanLinks, "wan-links", 3, "how many links are up at a time, each with a transfer")
	flags.DurationVar(&o.wanLimit, "wan-limit", 25*time.Second, "time limit of one run on a WAN, to which 50 round trips are added; then what has arrived counts")
	flags.StringVar(&o.write, "write", "", "write a page with the method and the tables to this file")
	flags.BoolVar(&o.quick, "quick", false, "small files, to try this program")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.quick {
		o.wanLimit = min(o.wanLimit, 3*time.Second)
	}
	if flags.NArg() > 0 || min(o.repeats, o.wanRepeats, o.wanLinks) < 1 || min(o.limit, o.wanLimit) <= 0 {
		return o, errors.New("there are no arguments; -n, -wan-n, -wan-links and the limits are above 0")
	}
	o.only = strings.Split(*only, ",")
	for _, part := range o.only {
		if !slices.Contains(parts(), part) {
			return o, fmt.Errorf("-only: there is no part %q; the parts are %s", part, strings.Join(parts(), ", "))
		}
	}
	if o.cases, err = regexp.Compile(*cases); err != nil {
		return o, fmt.Errorf("-case: %w", err)
	}
	if o.peers, err = regexp.Compile("(?i)" + *others); err != nil {
		return o, fmt.Errorf("-peers: %w", err)
	}
	return o, nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o, err := parseFlags(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		err = run(ctx, o, os.Stdout, os.Stderr)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchtransfer:", err)
		os.Exit(1) //nolint:gocritic // nothing is left to be done
	}
}

// bench is one run of this program.
type bench struct {
	options
	root     string // below dir: everything that is made in memory
	out      io.Writer
	progress io.Writer

	mu      sync.Mutex
	missing []string // what was left out, and why
	cipher  string
	load    string // of the machine, before anything ran
}

// run measures and prints. Whatever happens, it leaves nothing behind.
func run(ctx context.Context, o options, out, progress io.Writer) (err error) {
	root, err := os.MkdirTemp(o.dir, "benchtransfer-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(root)) }()
	if err := os.Chmod(root, 0o755); err != nil { //nolint:gosec // a server that runs as nobody passes it
		return err
	}
	var tables strings.Builder
	b := &bench{options: o, root: root, out: io.MultiWriter(out, &tables), progress: progress}
	b.load, _, _ = strings.Cut(readText("/proc/loadavg"), " ")
	if b.jetstream == "" {
		b.jetstream = filepath.Join(root, "jetstream")
		if err := b.build(ctx, b.jetstream, "./cmd/jetstream"); err != nil {
			return err
		}
	}
	if b.jetstream, err = filepath.Abs(b.jetstream); err != nil {
		return err
	}
	loopback, durable, wan := datasets(o.quick)
	for _, part := range o.only {
		switch part {
		case "loopback":
			err = b.local(ctx, "Loopback, in memory", loopback, false)
		case "durable":
			err = b.local(ctx, "Durable: the target is on a disk, and what arrived is on it at the end", durable, true)
		case "wan":
			err = b.overWAN(ctx, wan)
		}
		if err != nil {
			return err
		}
	}
	_, _ = fmt.Fprintf(out, "\n%s\n", strings.Join(b.machine(ctx), "\n"))
	if o.write == "" {
		return nil
	}
	return os.WriteFile(o.write, []byte(b.document(ctx, tables.String())), 0o644) //nolint:gosec // a page of the documentation
}

// local measures cases whose two ends are on this machine.
func (b *bench) local(ctx context.Context, title string, cases []dataset, durable bool) (err error) {
	cases = slices.DeleteFunc(slices.Clone(cases), func(d dataset) bool { return !b.cases.MatchString(d.name) })
	if len(cases) == 0 {
		return nil
	}
	from, at := filepath.Join(b.root, "from"), b.root
	if durable {
		if at, err = os.MkdirTemp(b.disk, "benchtransfer-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(at)) }()
	}
	to := filepath.Join(at, "to")
	for _, dir := range []string{from, to} {
		if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // likewise
			return err
		}
	}
	_, _ = fmt.Fprintf(b.out, "\n## %s\n", title)
	w, end, err := b.loopback(ctx)
	if err != nil {
		return err
	}
	defer end()
	others, err := startPeers(ctx, w, filepath.Join(b.root, "peers"), to, b.peers)
	if err != nil {
		return err
	}
	defer others.end()
	b.leaveOut(others)
	for _, d := range cases {
		if err := d.create(from); err != nil {
			return err
		}
		if err := b.compare(ctx, w, d, others, from, to, filepath.Join(at, "state-"+d.name), durable); err != nil {
			return err
		}
		if err := os.RemoveAll(filepath.Join(from, d.name)); err != nil {
			return err
		}
	}
	return nil
}

// loopback is a network namespace with nothing but loopback, on which TCP has
// cubic, as on most hosts. Who is not root has that of the machine.
func (b *bench) loopback(ctx context.Context) (w where, end func(), err error) {
	w.address = "127.0.0.1"
	if why := noNamespaces(); why != "" {
		b.leave("cubic on loopback: " + why)
		return w, func() {}, nil
	}
	w.near = fmt.Sprintf("loop%d", os.Getpid())
	w.far = w.near
	if err := ip(ctx, "netns", "add", w.near); err != nil {
		return w, nil, err
	}
	end = func() { _ = ip(context.WithoutCancel(ctx), "netns", "del", w.near) }
	err = ip(ctx, "-n", w.near, "link", "set", "lo", "up")
	for _, to := range []string{"127.0.0.1", "127.0.0.0/8"} {
		err = errors.Join(err, ip(ctx, "-n", w.near, "route", "change", "local", to, "dev", "lo", "table", "local", "proto", "kernel",
			"scope", "host", "src", "127.0.0.1", "congctl", "cubic"))
	}
	if err != nil {
		end()
	}
	return w, end, err
}

// compare measures one case with servers of its own, and prints its table.
func (b *bench) compare(ctx context.Context, w where, d dataset, others *peers, from, to, state string, durable bool) error {
	pair, err := startOurs(ctx, w, b.jetstream, state, from, to)
	if err != nil {
		return err
	}
	defer pair.end()
	candidates := []candidate{pair.candidate("JetStream")}
	for _, c := range others.candidates(durable) {
		if b.peers.MatchString(c.name) {
			candidates = append(candidates, c)
		}
	}
	_, _ = fmt.Fprintf(b.progress, "%s\n", d.title)
	rows, err := contest{candidates: candidates, data: d, from: filepath.Join(from, d.name), to: to,
		repeats: b.repeats, limit: b.limit, durable: durable, progress: b.progress}.run(ctx)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(b.out, "\n### %s\n\n", title(d))
	localTable(d, rows).write(b.out)
	b.showFailures("", rows)
	return nil
}

// leaveOut keeps in mind what the peers lack.
func (b *bench) leaveOut(p *peers) {
	b.mu.Lock()
	b.cipher = cmp.Or(p.cipher, b.cipher)
	b.mu.Unlock()
	for _, text := range p.missing {
		b.leave(text)
	}
}

// leave keeps in mind what is left out and why.
func (b *bench) leave(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.Contains(b.missing, text) {
		b.missing = append(b.missing, text)
	}
}

// build builds a program of this checkout.
func (b *bench) build(ctx context.Context, binary, dir string) error {
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", binary, dir) //nolint:gosec // below a directory of the one who runs it
	build.Env = append(build.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, text)
	}
	return nil
}
