//go:build linux

// Command linkem is a WAN link in userspace between two network namespaces.
//
// It makes two namespaces, puts one TUN device into each and forwards IP packets
// between them with a rate limit, a drop-tail queue, a one-way delay and random
// (optionally bursty) loss, per direction. It needs root and /dev/net/tun, no
// netem. See README.md.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func die(format string, a ...any) {
	fmt.Fprintf(os.Stderr, "linkem: "+format+"\n", a...)
	os.Exit(1)
}

func ip(args ...string) {
	if out, err := exec.CommandContext(context.Background(), "ip", args...).CombinedOutput(); err != nil {
		die("ip %v: %v: %s", args, err, out)
	}
}

// openTun makes a TUN device inside namespace ns and returns its descriptor,
// which keeps working from any namespace.
func openTun(ns, name string) int {
	res := make(chan int)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread dies with the goroutine
		f, err := unix.Open("/run/netns/"+ns, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			die("open namespace %s: %v", ns, err)
		}
		if err := unix.Setns(f, unix.CLONE_NEWNET); err != nil {
			die("setns %s: %v", ns, err)
		}
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err != nil {
			die("open /dev/net/tun: %v", err)
		}
		request, err := unix.NewIfreq(name)
		if err != nil {
			die("%s: %v", name, err)
		}
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
			die("TUNSETIFF: %v", err)
		}
		_ = unix.Close(f)
		res <- fd
	}()
	return <-res
}

type config struct {
	bps   float64 // 0 = no limit
	delay time.Duration
	loss  float64 // probability
	burst float64 // mean length of a loss burst, in packets
	queue int     // bytes
}

type stats struct {
	Packets, Bytes, Lost, QueueDrops, Blackholed atomic.Int64
	MaxQueue                                     atomic.Int64
}

func (s *stats) json() map[string]int64 {
	return map[string]int64{"packets": s.Packets.Load(), "bytes": s.Bytes.Load(), "lost_random": s.Lost.Load(),
		"dropped_queue": s.QueueDrops.Load(), "blackholed": s.Blackholed.Load(), "max_queue_bytes": s.MaxQueue.Load()}
}

type pkt struct {
	due time.Time
	b   []byte
}

// direction carries packets one way. All its methods run on one thread.
type direction struct {
	config
	stats
	from, to int
	down     *atomic.Bool // the link is cut
	rnd      *rand.Rand
	linkFree time.Time // when the last queued packet will have left the link
	inBurst  bool
	flight   []pkt // in order of due time
	head     int
	free     [][]byte
}

// raw reads or writes without a word to Go's scheduler, which would cost a
// quarter of the rate: neither call blocks, and the thread is the loop's own.
func raw(call uintptr, fd int, b []byte) int {
	n, _, e := unix.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b))) //nolint:gosec // the one way to make such a call
	if e != 0 {
		return -1
	}
	return int(n)
}

// takeIn reads what has arrived and decides its fate.
func (d *direction) takeIn(now time.Time) {
	for {
		var b []byte
		if k := len(d.free); k > 0 {
			b, d.free = d.free[k-1], d.free[:k-1]
		} else {
			b = make([]byte, 4096)
		}
		n := raw(unix.SYS_READ, d.from, b)
		if n <= 0 {
			d.free = append(d.free, b)
			return
		}
		if d.admit(now, n) {
			d.flight = append(d.flight, pkt{d.linkFree.Add(d.delay), b[:n]})
		} else {
			d.free = append(d.free, b)
		}
	}
}

func (d *direction) admit(now time.Time, n int) bool {
	if d.down.Load() {
		d.Blackholed.Add(1)
		return false
	}
	if d.linkFree.Before(now) {
		d.linkFree = now
	}
	if d.bps > 0 {
		backlog := int(d.linkFree.Sub(now).Seconds() * d.bps / 8)
		if int64(backlog) > d.MaxQueue.Load() {
			d.MaxQueue.Store(int64(backlog))
		}
		if backlog+n > d.queue {
			d.QueueDrops.Add(1)
			return false
		}
		d.linkFree = d.linkFree.Add(time.Duration(float64(n) * 8e9 / d.bps))
	}
	// Random loss comes after the queue, as on a lossy line: a lost packet has
	// used its share of the link. Two states; burst 1 means independent losses.
	if d.inBurst {
		d.inBurst = d.rnd.Float64() >= 1/d.burst
	}
	if !d.inBurst && d.loss > 0 {
		d.inBurst = d.rnd.Float64() < d.loss/(d.burst*(1-d.loss))
	}
	if d.inBurst {
		d.Lost.Add(1)
		d.inBurst = d.burst > 1
		return false
	}
	d.Packets.Add(1)
	d.Bytes.Add(int64(n))
	return true
}

// handOut writes the packets that are due.
func (d *direction) handOut(now time.Time) {
	for d.head < len(d.flight) && !d.flight[d.head].due.After(now) {
		b := d.flight[d.head].b
		raw(unix.SYS_WRITE, d.to, b) // a packet that the kernel does not take is lost
		d.free = append(d.free, b[:cap(b)])
		d.head++
	}
	if d.head > 4096 && d.head*2 > len(d.flight) {
		d.flight = d.flight[:copy(d.flight, d.flight[d.head:])]
		d.head = 0
	}
}

// forward takes packets in and hands them out in batches, one batch every
// quantum, which keeps its own use of processor time low.
func forward(dirs [2]*direction, quantum time.Duration) {
	runtime.LockOSThread()
	ts := unix.NsecToTimespec(int64(quantum))
	for {
		now := time.Now()
		for _, d := range dirs {
			d.takeIn(now)
			d.handOut(now)
		}
		_ = unix.Nanosleep(&ts, nil)
	}
}

// dice tosses the same coins for the same seed.
func dice(seed uint64) *rand.Rand {
	return rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // losses of a test can be foretold: that is what the seed is for
}

func main() {
	a := flag.String("a", "lea", "name of namespace A (address 198.18.0.1)")
	b := flag.String("b", "leb", "name of namespace B (address 198.18.0.2)")
	rate := flag.Float64("rate", 100, "link rate in Mbit/s of IP packets, each direction; 0 = no limit")
	rtt := flag.Duration("rtt", 100*time.Millisecond, "round-trip time without queueing (half of it per direction)")
	loss := flag.Float64("loss", 0, "random loss in percent of packets, A to B and B to A")
	lossBack := flag.Float64("loss-back", -1, "random loss in percent B to A, when different")
	burst := flag.Float64("burst", 1, "mean length of a loss burst in packets; 1 = independent losses")
	queue := flag.Float64("queue", 1, "bottleneck queue in bandwidth-delay products (at least 64 KiB)")
	seed := flag.Uint64("seed", 1, "seed of the losses")
	mtu := flag.Int("mtu", 1500, "MTU")
	quantum := flag.Duration("quantum", 400*time.Microsecond, "coarseness of time; 200us for links above 200 Mbit/s")
	dur := flag.Duration("for", 0, "stop after this time (0 = until a signal)")
	flag.Parse()
	if *mtu > 4096 {
		die("mtu at most 4096")
	}
	if *lossBack < 0 {
		*lossBack = *loss
	}
	mk := func(l float64) config {
		q := max(int(*queue**rate*1e6/8*rtt.Seconds()), 65536)
		return config{*rate * 1e6, *rtt / 2, l / 100, *burst, q}
	}
	for _, ns := range []string{*a, *b} {
		if _, err := os.Stat("/run/netns/" + ns); err == nil {
			die("namespace %s exists already; choose another name or: ip netns del %s", ns, ns)
		}
		ip("netns", "add", ns)
	}
	defer func() {
		ip("netns", "del", *a)
		ip("netns", "del", *b)
	}()
	fds := [2]int{openTun(*a, "wan0"), openTun(*b, "wan0")}
	for i, ns := range []string{*a, *b} {
		ip("-n", ns, "link", "set", "lo", "up")
		ip("-n", ns, "addr", "add", fmt.Sprintf("198.18.0.%d/30", i+1), "dev", "wan0")
		ip("-n", ns, "link", "set", "wan0", "mtu", fmt.Sprint(*mtu), "txqueuelen", "10000", "up")
	}
	down := new(atomic.Bool)
	ab := &direction{config: mk(*loss), from: fds[0], to: fds[1], down: down, rnd: dice(*seed)}
	ba := &direction{config: mk(*lossBack), from: fds[1], to: fds[0], down: down, rnd: dice(*seed + 1000)}
	go forward([2]*direction{ab, ba}, *quantum)
	fmt.Fprintln(os.Stdout, "ready")
	sig := make(chan os.Signal, 4)
	signal.Notify(sig, syscall.SIGINT, syscall.SIGTERM, syscall.SIGUSR1)
	var end <-chan time.Time
	if *dur > 0 {
		end = time.After(*dur)
	}
loop:
	for {
		select {
		case s := <-sig:
			if s == syscall.SIGUSR1 { // cut or restore the link
				down.Store(!down.Load())
				continue
			}
			break loop
		case <-end:
			break loop
		}
	}
	_ = json.NewEncoder(os.Stdout).Encode(map[string]any{"a_to_b": ab.json(), "b_to_a": ba.json()})
}
