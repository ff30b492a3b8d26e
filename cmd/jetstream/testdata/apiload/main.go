//go:build linux

// Command apiload is the client of the API's benchmarks: a process of its own
// that does as little as a client can, one thread over all its connections.
// Each line of its input asks for a round, each line of its output tells what
// came of one. The connections stay for all rounds to an address.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// round is what the input asks for.
type round struct {
	Address     string // IPv4:port
	Connections int    // each carries one request after the other
	Requests    int    // in all
	Request     string // as it is sent
	// Vary is a piece of Request, three numbers of three digits with dots
	// between them, that are others in each request, from the First on. Empty:
	// all are the same.
	Vary  string
	First int
}

// outcome is what came of a round.
type outcome struct {
	Nanoseconds int64   // from the first request to the last answer
	Each        []int64 // nanoseconds of each request
	Error       string  `json:",omitempty"`
}

func main() {
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	clients := map[string][]*conn{}
	for {
		var r round
		if in.Decode(&r) != nil {
			return // whoever asked has gone
		}
		o, err := r.run(clients)
		if err != nil {
			o.Error = err.Error()
		}
		if out.Encode(o) != nil {
			return
		}
	}
}

type conn struct {
	fd      int
	request []byte
	varies  int // where, -1 for nowhere
	began   time.Time
	got     []byte // of the answer, up to what it holds
	n       int
	whole   int // bytes of the answer, 0 while that is not known
}

func (r *round) run(clients map[string][]*conn) (o outcome, err error) {
	epoll, err := syscall.EpollCreate1(0)
	if err != nil {
		return o, err
	}
	defer syscall.Close(epoll)
	for len(clients[r.Address]) < r.Connections {
		fd, err := dial(r.Address)
		if err != nil {
			return o, err
		}
		clients[r.Address] = append(clients[r.Address], &conn{fd: fd, got: make([]byte, 256<<10)})
	}
	byFD := map[int32]*conn{}
	for _, c := range clients[r.Address] {
		event := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(c.fd)}
		if err := syscall.EpollCtl(epoll, syscall.EPOLL_CTL_ADD, c.fd, &event); err != nil {
			return o, err
		}
		byFD[event.Fd] = c
		c.request, c.varies = []byte(r.Request), -1
		if r.Vary != "" {
			c.varies = strings.Index(r.Request, r.Vary)
		}
	}
	o.Each = make([]int64, 0, r.Requests)
	sent, start := 0, time.Now()
	next := func(c *conn) error {
		if sent == r.Requests {
			return nil
		}
		if c.varies >= 0 {
			const each = 156 // 100 to 255
			i := r.First + sent
			copy(c.request[c.varies:], fmt.Sprintf("%d.%d.%d", 100+i/each/each%each, 100+i/each%each, 100+i%each))
		}
		sent++
		c.n, c.whole, c.began = 0, 0, time.Now()
		n, err := syscall.Write(c.fd, c.request)
		if err == nil && n < len(c.request) {
			err = errors.New("the request was not taken at once")
		}
		return err
	}
	for _, c := range clients[r.Address] {
		if err := next(c); err != nil {
			return o, err
		}
	}
	for events := make([]syscall.EpollEvent, r.Connections); len(o.Each) < r.Requests; {
		n, err := syscall.EpollWait(epoll, events, 60_000)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err == nil && n == 0 {
			err = errors.New("no answer came for a minute")
		}
		if err != nil {
			return o, err
		}
		for _, event := range events[:n] {
			c := byFD[event.Fd]
			done, err := c.read()
			if err != nil {
				return o, err
			}
			if !done {
				continue
			}
			o.Each = append(o.Each, time.Since(c.began).Nanoseconds())
			if err := next(c); err != nil {
				return o, err
			}
		}
	}
	o.Nanoseconds = time.Since(start).Nanoseconds()
	return o, nil
}

func dial(address string) (fd int, err error) {
	host, port, _ := strings.Cut(address, ":")
	to := &syscall.SockaddrInet4{}
	if to.Port, err = strconv.Atoi(port); err != nil {
		return 0, err
	}
	if _, err := fmt.Sscanf(host, "%d.%d.%d.%d", &to.Addr[0], &to.Addr[1], &to.Addr[2], &to.Addr[3]); err != nil {
		return 0, err
	}
	if fd, err = syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0); err != nil {
		return 0, err
	}
	if err = errors.Join(syscall.Connect(fd, to), syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)); err != nil {
		return 0, err
	}
	return fd, nil
}

// read takes what has come of an answer and reports whether it is whole. It must
// be a success.
func (c *conn) read() (done bool, err error) {
	n, err := syscall.Read(c.fd, c.got[c.n:])
	if err != nil {
		return false, err
	}
	if n == 0 {
		return false, errors.New("the server hung up")
	}
	c.n += n
	if c.whole == 0 {
		head := bytes.Index(c.got[:c.n], []byte("\r\n\r\n"))
		if head < 0 {
			return false, nil
		}
		_, length, there := bytes.Cut(c.got[:head], []byte("Content-Length: "))
		length, _, _ = bytes.Cut(length, []byte("\r\n"))
		body, err := strconv.Atoi(string(length))
		if !there || err != nil || !bytes.HasPrefix(c.got, []byte("HTTP/1.1 20")) {
			return false, fmt.Errorf("no success: %s", c.got[:c.n])
		}
		if c.whole = head + 4 + body; c.whole > len(c.got) {
			return false, fmt.Errorf("an answer of %d bytes is too long", c.whole)
		}
	}
	return c.n >= c.whole, nil
}
