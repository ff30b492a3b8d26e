//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// method is what a reader must know to judge the tables.
const method = `# Performance

JetStream beside cp, scp, rsync, rclone and GridFTP. This page is written by one run of

` + "```" + `sh not run: takes an hour
make bench-transfer ARGS="-write docs/performance.md"
` + "```" + `

so that all numbers of a table are of one machine in the same hour; ` + "`ARGS=-help`" + ` lists how to measure a part. Read the ratios.

## Method

- Both ends are processes of one machine and share its processors: a throughput is what that machine can do for both.
- Files hold random bytes. Source and target are in memory (tmpfs), but for the durable part, whose target and states of the
  servers are on a disk.
- JetStream is two servers as they come, with a user, a password and the control socket. The time is from before createManifest until
  waitForTransfer says complete: every file verified, synced and on record at both ends. No file is compressed beforehand.
- On loopback TCP has cubic, as on most hosts, in a network namespace of its own.
- The others are timed from the start of their program to its end. sshd, the rsync daemon and the GridFTP server run before that, with
  configurations of their own. "plain" is without encryption; GridFTP sends data without encryption too. scp and rsync do not sync files unless told.
- The repeats of all programs are interleaved; the median counts. After every run the target is compared with the source, byte by byte,
  outside the time.
- "time / ours" above 1: JetStream is so many times faster.
- "unchanged since they were sent": the same command a second time, with the files of the first still there. JetStream's conflict is
  "changed", which jetstream send has by default; only programs that compare sizes and times take part.
- CPU is user and system time of all processes of that end, per GiB of files. RSS is the kernel's high-water mark of each server (VmHWM); the
  column "from 3rd second" begins anew two seconds into the transfer, when the hashing of the password is over.
- WAN: tools/linkem carries packets between two network namespaces, with rate, delay, a queue of one bandwidth-delay product, and random
  loss in both directions. Percent of the link is bytes of files against the rate of IP packets: headers of TCP and IP alone cost 3.5.
  "by 4" means losses in bursts of four packets on average. A run that reaches the time limit is cut off, and what has arrived counts:
  of JetStream the bytes that the receiver has confirmed, of others the bytes in the target's files.
  "cubic" and "bbr" behind a peer are the default of both hosts; ours with "bbr" chooses it itself where it has the flag --congestion.
`

// document is the page: the method, the machine, and what was measured.
func (b *bench) document(ctx context.Context, tables string) string {
	var page strings.Builder
	page.WriteString(method)
	page.WriteString("\n## Machine and programs\n\n")
	for _, line := range b.machine(ctx) {
		_, _ = fmt.Fprintln(&page, "-", line)
	}
	page.WriteString(tables)
	return page.String()
}

// machine says what was measured with what and where.
func (b *bench) machine(ctx context.Context) []string {
	lines := []string{
		fmt.Sprintf("%s; %d repeats, on a WAN %d", time.Now().UTC().Format("2006-01-02"), b.repeats, b.wanRepeats),
		fmt.Sprintf("%d processors (%s), %s of memory, Linux %s, %s", runtime.NumCPU(), valueIn(readText("/proc/cpuinfo"), "model name"),
			valueIn(readText("/proc/meminfo"), "MemTotal"), readText("/proc/sys/kernel/osrelease"), runtime.GOARCH),
		fmt.Sprintf("load when it began: %s (of this machine, in processes)", b.load),
		fmt.Sprintf("default congestion control: %s; the kernel has %s",
			readText("/proc/sys/net/ipv4/tcp_congestion_control"), readText("/proc/sys/net/ipv4/tcp_available_congestion_control")),
		"the disk of the durable part: " + firstLine(ctx, "stat", "-f", "-c", "%T", b.disk),
		firstLine(ctx, b.jetstream, "--version") + ", TLS 1.3",
	}
	for _, each := range [][]string{
		{"ssh", "-V"}, {"rsync", "--version"}, {"rclone", "version"}, {"globus-gridftp-server", "-version"}, {"globus-url-copy", "-version"},
	} {
		path, err := lookFor(each[0])
		if err != nil {
			continue // it stands among what is left out
		}
		line := firstLine(ctx, path, each[1])
		if each[0] == "ssh" && b.cipher != "" {
			line += "; its cipher is " + b.cipher + ", or, as AES, " + fastCipher
		}
		lines = append(lines, line)
	}
	for _, each := range b.missing {
		lines = append(lines, "left out: "+each)
	}
	return lines
}

// readText is a file of /proc in one line, or its first.
func readText(name string) string {
	b, err := os.ReadFile(name)
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(b))
}

// valueIn finds "name : value" in a text of /proc.
func valueIn(text, name string) string {
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.Join(strings.Fields(value), " ")
		}
	}
	return "unknown"
}

// firstLine runs a program and returns the first line that it prints.
func firstLine(ctx context.Context, argv ...string) string {
	text, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	if err != nil && line == "" {
		return "unknown"
	}
	return strings.Join(strings.Fields(line), " ")
}
