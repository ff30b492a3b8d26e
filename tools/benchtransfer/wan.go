//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// mbits is the rate of every link, in Mbit/s of IP packets.
	mbits = 100
	// The addresses that linkem gives.
	nearAddress, farAddress = "198.18.0.1", "198.18.0.2"
	// extraTrips is by how many round trips the time limit of a run grows: what
	// a slow start costs.
	extraTrips = 50
)

// link is a line between two sites.
type link struct {
	rtt   time.Duration
	loss  float64 // percent of packets, in both directions
	burst int     // mean length of a loss in packets
	grid  bool    // it belongs to the table of several lines
}

func (l link) name() string {
	name := fmt.Sprintf("%d ms, %g %%", l.rtt.Milliseconds(), l.loss)
	if l.burst > 1 {
		name += fmt.Sprintf(" by %d", l.burst)
	}
	return name
}

// links are those that are measured; quick ones are for trying this program.
func links(quick bool) (all []link) {
	const ms = time.Millisecond
	if quick {
		return []link{{100 * ms, 1, 1, false}, {10 * ms, 0.1, 1, true}}
	}
	return []link{
		{100 * ms, 0, 1, false}, {100 * ms, 0.1, 1, false}, {100 * ms, 1, 1, false}, {100 * ms, 3, 1, false}, {100 * ms, 2, 4, false},
		{10 * ms, 0.1, 1, true}, {90 * ms, 1, 1, true}, {150 * ms, 2, 1, true}, {200 * ms, 2, 1, true}, {550 * ms, 5, 1, true}, {100 * ms, 10, 1, true},
	}
}

// wan is a link that is up.
type wan struct {
	where
	*process
}

// startLink makes two network namespaces with a link between them. They end
// with it, at the latest after the time limit.
func startLink(ctx context.Context, binary, id string, l link, limit time.Duration) (*wan, error) {
	w := &wan{where: where{near: "near" + id, far: "far" + id, address: farAddress}}
	p, err := startProcess("linkem", "", []string{binary, "-a", w.near, "-b", w.far, "-rate", fmt.Sprint(mbits), "-rtt", l.rtt.String(),
		"-loss", fmt.Sprint(l.loss), "-burst", fmt.Sprint(l.burst), "-for", limit.String()})
	if err != nil {
		return nil, err
	}
	w.process = p
	if err := p.await(ctx, func() bool { return strings.HasPrefix(p.log.String(), "ready") }); err != nil {
		w.end()
		return nil, err
	}
	return w, nil
}

// end ends the link, and sees that the namespaces are gone.
func (w *wan) end() {
	w.process.end()
	for _, ns := range []string{w.near, w.far} {
		if _, err := os.Stat("/run/netns/" + ns); err == nil {
			_ = ip(context.Background(), "netns", "del", ns)
		}
	}
}

func ip(ctx context.Context, args ...string) error {
	if out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, lastLine(string(out)))
	}
	return nil
}

// control makes an algorithm the default of both hosts' new connections, and
// makes them forget what former connections found out.
func (w *wan) control(ctx context.Context, algorithm string) (err error) {
	for ns, address := range map[string]string{w.near: nearAddress, w.far: farAddress} {
		err = errors.Join(err, ip(ctx, "-n", ns, "route", "change", "198.18.0.0/30", "dev", "wan0", "proto", "kernel",
			"scope", "link", "src", address, "congctl", algorithm), ip(ctx, "-n", ns, "tcp_metrics", "flush"))
	}
	return err
}

// under makes a candidate run with an algorithm as the hosts' default.
func (w *wan) under(algorithm string, c candidate) candidate {
	send := c.send
	c.control = algorithm
	c.send = func(ctx context.Context, from, to string) (measure, error) {
		if err := w.control(ctx, algorithm); err != nil {
			return measure{}, err
		}
		return send(ctx, from, to)
	}
	return c
}

// overWAN measures the cases on all links.
func (b *bench) overWAN(ctx context.Context, cases []dataset) error {
	if why := noWAN(); why != "" {
		b.leave("WAN: " + why)
		return nil
	}
	binary := filepath.Join(b.root, "linkem")
	if err := b.build(ctx, binary, "./tools/linkem"); err != nil {
		return err
	}
	from := filepath.Join(b.root, "from")
	if err := os.MkdirAll(from, 0o755); err != nil { //nolint:gosec // a server that runs as nobody reads it
		return err
	}
	results := make([]wanResults, len(cases))
	for i, d := range cases {
		results[i].data = d
		if err := d.create(from); err != nil {
			return err
		}
	}
	all := links(b.quick)
	rows := make([][][]row, len(all)) // by link and case
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(b.wanLinks)
	for i, l := range all {
		g.Go(func() (err error) {
			rows[i], err = b.overLink(ctx, binary, fmt.Sprintf("%d-%d", os.Getpid(), i), l, from, cases)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i, l := range all {
		for k, each := range rows[i] {
			if each != nil {
				results[k].links, results[k].rows = append(results[k].links, l), append(results[k].rows, each)
			}
		}
	}
	b.showWAN(results)
	return nil
}

// noWAN says why there can be no link on this machine, if so.
func noWAN() string {
	if why := noNamespaces(); why != "" {
		return why
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		return err.Error()
	}
	return ""
}

// noNamespaces says why there can be no network namespaces, if so.
func noNamespaces() string {
	if os.Geteuid() != 0 {
		return "network namespaces need root"
	}
	if _, err := lookFor("ip"); err != nil {
		return err.Error()
	}
	return ""
}

// wanResults are the rows of one dataset by link.
type wanResults struct {
	data  dataset
	links []link
	rows  [][]row
}

// overLink measures the cases on one link, whose namespaces and directories are named
// after id, and returns the rows of each: nil of one that is not wanted.
func (b *bench) overLink(ctx context.Context, binary, id string, l link, from string, cases []dataset) ([][]row, error) {
	rows := make([][]row, len(cases))
	wanted := func(d dataset) bool { return b.cases.MatchString(d.name + " " + l.name()) }
	if !slices.ContainsFunc(cases, wanted) {
		return rows, nil
	}
	limit := b.wanLimit + extraTrips*l.rtt
	const most = 20 // candidates
	w, err := startLink(ctx, binary, id, l, (limit+endTime)*time.Duration(most*b.wanRepeats*len(cases)))
	if err != nil {
		return nil, err
	}
	defer w.end()
	dir := filepath.Join(b.root, id)
	to := filepath.Join(dir, "to")
	if err := os.MkdirAll(to, 0o755); err != nil { //nolint:gosec // likewise
		return nil, err
	}
	candidates, end, err := b.wanCandidates(ctx, w, from, dir, to)
	if err != nil {
		return nil, err
	}
	defer end()
	for i, d := range cases {
		if !wanted(d) {
			continue
		}
		_, _ = fmt.Fprintf(b.progress, "%s, %s\n", l.name(), d.title)
		rows[i], err = contest{candidates: candidates, data: d, from: filepath.Join(from, d.name), to: to,
			repeats: b.wanRepeats, limit: limit, progress: b.progress}.run(ctx)
		if err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// wanCandidates starts our servers and the peers' at the ends of a link. Ours are also
// started with what they choose where there is no BBR; hosts of the peers have one or the
// other algorithm as their default.
func (b *bench) wanCandidates(ctx context.Context, w *wan, from, dir, to string) (all []candidate, end func(), err error) {
	var ends []func()
	end = func() {
		for _, each := range slices.Backward(ends) {
			each()
		}
	}
	defer func() {
		if err != nil {
			end()
		}
	}()
	state := filepath.Join(dir, "state")
	ends = append(ends, func() { _ = os.RemoveAll(state) })
	add := func(name, algorithm string, flags ...string) error {
		pair, err := startOurs(ctx, w.where, b.jetstream, filepath.Join(state, strings.ReplaceAll(name, " ", "-")), from, to, flags...)
		if err != nil {
			return err
		}
		ends = append(ends, pair.end)
		c := w.under(algorithm, pair.candidate(name))
		all = append(all, c)
		return nil
	}
	if b.canChoose(ctx) {
		if err = add("JetStream", "cubic", "--congestion=auto"); err == nil {
			all[0].control = "bbr" // it takes BBR whatever the default is
			err = add("JetStream without BBR", "cubic", "--congestion=cubic", "--lanes=16")
		}
	} else {
		b.leave("JetStream without BBR: this server has no flag --congestion")
		err = add("JetStream", "bbr")
	}
	if err != nil {
		return nil, nil, err
	}
	others, err := startPeers(ctx, w.where, filepath.Join(dir, "peers"), to, b.peers)
	if err != nil {
		return nil, nil, err
	}
	ends = append(ends, others.end)
	b.leaveOut(others)
	for _, c := range others.candidates(false) {
		for _, algorithm := range []string{"cubic", "bbr"} {
			if b.peers.MatchString(c.name) {
				all = append(all, w.under(algorithm, c))
			}
		}
	}
	return all, end, nil
}

// canChoose reports whether the server has the flag --congestion.
func (b *bench) canChoose(ctx context.Context) bool {
	help, err := exec.CommandContext(ctx, b.jetstream, "server", "--help").Output()
	return err == nil && strings.Contains(string(help), "--congestion")
}
