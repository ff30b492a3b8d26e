//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// measure is what one run showed.
type measure struct {
	elapsed          time.Duration
	cpuSend, cpuRecv time.Duration
	peak, latePeak   [2]int64 // memory of our servers: whole, and after the first seconds; sender, receiver
	bytes            int64    // that arrived
	cut              bool     // at the time limit
}

// candidate is a way to copy a directory, measured beside others.
type candidate struct {
	name string
	ours bool
	// control is the congestion control that it has on a WAN.
	control string
	// many says that it differs from another only with many files.
	many bool
	// compares says that it leaves out files that the target has.
	compares bool
	// send copies the directory from into the directory to, which is there and
	// empty, and returns when it has arrived or ctx ends.
	send func(ctx context.Context, from, to string) (measure, error)
}

// row is a candidate's runs.
type row struct {
	name, control string
	ours          bool
	runs          []measure
	err           error // why it has no more of them
}

// contest lets candidates send one directory in turn.
type contest struct {
	candidates []candidate
	data       dataset
	from       string // the directory that is sent
	to         string // the directory that the targets are made in
	repeats    int
	limit      time.Duration // of one run
	durable    bool          // nothing may wait to be written when a run begins
	progress   io.Writer
}

// run measures all candidates, the repeats interleaved: what slows down the
// machine for a while slows down all. What was cut off is not repeated. It is an
// error only when ctx ended.
func (c contest) run(ctx context.Context) ([]row, error) {
	if c.data.files == 1 {
		c.candidates = slices.DeleteFunc(slices.Clone(c.candidates), func(each candidate) bool { return each.many })
	}
	if c.data.again {
		c.candidates = slices.DeleteFunc(slices.Clone(c.candidates), func(each candidate) bool { return !each.compares })
	}
	rows := make([]row, len(c.candidates))
	for i, each := range c.candidates {
		rows[i].name, rows[i].control, rows[i].ours = each.name, each.control, each.ours
	}
	for round := range c.repeats {
		for i, each := range c.candidates {
			if rows[i].err != nil || wasCut(rows[i]) {
				continue
			}
			m, err := c.one(ctx, each)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if err != nil {
				rows[i].err = err
				_, _ = fmt.Fprintf(c.progress, "  %d/%d %-34s %-5s failed: %v\n", round+1, c.repeats, each.name, each.control, err)
				continue
			}
			rows[i].runs = append(rows[i].runs, m)
			_, _ = fmt.Fprintf(c.progress, "  %d/%d %-34s %-5s %7.2f s  %d MiB\n", round+1, c.repeats, each.name, each.control, m.elapsed.Seconds(), m.bytes/mib)
		}
	}
	return rows, nil
}

// one is one run: its target is made before it, and compared and removed after.
func (c contest) one(ctx context.Context, each candidate) (m measure, err error) {
	to, err := os.MkdirTemp(c.to, "run-")
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(to)) }()
	if err := os.Chmod(to, 0o777); err != nil { //nolint:gosec // a server that runs as nobody writes there
		return m, err
	}
	limited, cancel := context.WithTimeout(ctx, c.limit)
	defer cancel()
	if c.data.again {
		if m, err = each.send(limited, c.from, to); err != nil || m.cut {
			return m, err
		}
	}
	if c.durable {
		syscall.Sync()
	}
	if m, err = each.send(limited, c.from, to); err != nil {
		return m, err
	}
	if m.cut {
		return m, nil
	}
	m.bytes = c.data.bytes()
	return m, sameTrees(c.from, filepath.Join(to, c.data.name))
}

// tool makes a candidate of commands that are run one after the other, the
// first of which may be served by far. They run in the network namespace ns.
func tool(name, ns string, far *process, commands func(from, to string) [][]string) candidate {
	return candidate{name: name, send: func(ctx context.Context, from, to string) (m measure, err error) {
		before := far.cpu()
		for _, argv := range commands(from, to) {
			one, err := runTool(ctx, ns, argv)
			m.elapsed += one.elapsed
			m.cpuSend += one.cpuSend
			if m.cut = one.cut; m.cut {
				m.bytes = arrived(to)
				break
			}
			if err != nil {
				return m, err
			}
		}
		if far != nil {
			patience := endTime
			if m.cut {
				patience = pollTime // what is still on its way does not count
			}
			far.settle(context.WithoutCancel(ctx), patience)
			m.cpuRecv = far.cpu() - before
		}
		return m, nil
	}}
}

// runTool runs one command, and ends it and what it has started when ctx ends.
func runTool(ctx context.Context, ns string, argv []string) (m measure, err error) {
	var log bytes.Buffer
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	begin := time.Now()
	if err = startIn(ns, cmd); err == nil {
		err = cmd.Wait()
	}
	m.elapsed = time.Since(begin)
	if state := cmd.ProcessState; state != nil {
		m.cpuSend = state.UserTime() + state.SystemTime()
	}
	if ctx.Err() != nil {
		m.cut = true
		return m, ctx.Err()
	}
	if err != nil {
		return m, fmt.Errorf("%s: %w: %s", filepath.Base(argv[0]), err, lastLine(log.String()))
	}
	return m, nil
}
