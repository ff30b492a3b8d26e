//go:build linux

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"jetstream/internal/client"
	"jetstream/internal/server"
	"jetstream/internal/transfer"
)

const (
	userName, password = "bench", "a-password-of-the-benchmark"
	// settled is when the memory of starting a transfer, such as that of the
	// password's hash, should be free again: the third second begins.
	settled = 2 * time.Second
	// waitSeconds is how long one call waits for the end of a transfer.
	waitSeconds = 5
)

// site is one JetStream server and a client of its control socket.
type site struct {
	*process
	conn     *client.Client
	endpoint server.Endpoint
}

// startSite makes a user whose files are in sandbox and starts a server with
// its state in a directory state.
func startSite(ctx context.Context, w where, ns, binary, name, state, sandbox string, flags ...string) (*site, error) {
	add := exec.CommandContext(ctx, binary, "user", "add", userName, "--persistent-state-dir="+state, "--sandbox="+sandbox, "--password-stdin")
	add.Stdin = strings.NewReader(password + "\n")
	if out, err := add.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("jetstream user add: %w: %s", err, lastLine(string(out)))
	}
	argv := append([]string{binary, "server", "--api-port=0", "--recv-port=0", "--recv-host=" + w.address, "--log-level=warn",
		"--persistent-state-dir=" + state}, flags...)
	if ns == w.near {
		argv = append(argv, "--recv-host=127.0.0.1")
	}
	p, err := startProcess("the JetStream server "+name, ns, argv)
	if err != nil {
		return nil, err
	}
	s := &site{process: p}
	socket := filepath.Join(state, "control.sock")
	if err = p.await(ctx, func() bool { return client.Answers(ctx, socket, time.Second) }); err == nil {
		s.conn, err = client.New(client.Options{Socket: socket, ActAs: userName})
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(filepath.Join(state, server.EndpointFile))
	}
	if err == nil {
		err = json.Unmarshal(text, &s.endpoint)
	}
	if err != nil {
		p.end()
		return nil, err
	}
	return s, nil
}

// ours is a pair of JetStream servers: what this program measures.
type ours struct {
	a, b        *site
	destination string // its id
}

// startOurs starts both servers with their states below dir; a sends what is
// below from, b receives below to.
func startOurs(ctx context.Context, w where, binary, dir, from, to string, flags ...string) (o *ours, err error) {
	o = &ours{}
	if o.b, err = startSite(ctx, w, w.far, binary, "that receives", filepath.Join(dir, "b"), to, flags...); err != nil {
		return nil, err
	}
	if o.a, err = startSite(ctx, w, w.near, binary, "that sends", filepath.Join(dir, "a"), from, flags...); err != nil {
		o.b.end()
		return nil, err
	}
	d, err := client.As[transfer.Destination](o.a.conn.Call(ctx, "send.createDestination",
		map[string]any{"destinationAddress": w.address, "destinationPort": o.b.endpoint.RecvPort}))
	if err != nil {
		o.end()
		return nil, err
	}
	o.destination = d.DestinationID
	return o, nil
}

func (o *ours) end() {
	for _, s := range []*site{o.a, o.b} {
		s.conn.Close()
		s.end()
	}
}

// candidate is the pair in a contest.
func (o *ours) candidate(name string) candidate {
	return candidate{name: name, ours: true, compares: true, send: func(ctx context.Context, from, to string) (measure, error) {
		return o.send(ctx, filepath.Base(from), "/"+filepath.Base(to))
	}}
}

// send sends the directory name of a's user into the directory to of b's, and
// returns when the transfer is complete or ctx ends.
func (o *ours) send(ctx context.Context, name, to string) (measure, error) {
	m := measure{}
	before := [2]time.Duration{o.a.cpu(), o.b.cpu()}
	o.a.resetPeak()
	o.b.resetPeak()
	stopWatch := o.watchMemory(&m)
	begin := time.Now()
	t, err := o.transmit(ctx, name, to)
	m.elapsed = time.Since(begin)
	stopWatch()
	m.cpuSend, m.cpuRecv = o.a.cpu()-before[0], o.b.cpu()-before[1]
	m.bytes = t.BytesSent
	if err != nil && ctx.Err() != nil && t.TransferID != "" {
		m.cut = true
		return m, o.cancel(ctx, t.TransferID, &m)
	}
	return m, err
}

func (o *ours) transmit(ctx context.Context, name, to string) (t transfer.Transfer, err error) {
	m, err := client.As[transfer.Manifest](o.a.conn.Call(ctx, "send.createManifest",
		map[string]any{"fileMappings": map[string]string{"/" + name: "/" + name}}))
	for err == nil && m.Processing {
		m, err = client.As[transfer.Manifest](o.a.conn.Call(ctx, "send.waitForManifest",
			map[string]any{"manifestId": m.ManifestID, "timeoutSeconds": waitSeconds}))
	}
	if err != nil {
		return t, err
	}
	if m.Status != transfer.StatusComplete {
		return t, errors.New("the files could not be listed")
	}
	t, err = client.As[transfer.Transfer](o.a.conn.Call(ctx, "send.createTransfer", map[string]any{
		"manifestId": m.ManifestID, "destinationId": o.destination, "username": userName, "password": password, "destinationPath": to,
		"conflict": transfer.ConflictChanged}))
	for err == nil && t.Processing {
		var next transfer.Transfer
		next, err = client.As[transfer.Transfer](o.a.conn.Call(ctx, "send.waitForTransfer",
			map[string]any{"transferId": t.TransferID, "timeoutSeconds": waitSeconds}))
		if err == nil {
			t = next
		}
	}
	if err == nil && t.Status != transfer.StatusComplete {
		err = fmt.Errorf("the transfer ended with status %s: %s", t.Status, cmp.Or(t.ErrorMessage, "no reason given"))
	}
	return t, err
}

// cancel ends a transfer that was cut off and counts what the receiver had
// confirmed until then.
func (o *ours) cancel(ctx context.Context, id string, m *measure) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
	defer cancel()
	params := map[string]any{"transferId": id}
	t, err := client.As[transfer.Transfer](o.a.conn.Call(ctx, "send.getTransfer", params))
	if err != nil {
		return err
	}
	m.bytes = t.BytesSent
	if _, err = o.a.conn.Call(ctx, "send.cancelTransfer", params); err != nil {
		return err
	}
	_, err = o.a.conn.Call(ctx, "send.waitForTransfer", map[string]any{"transferId": id, "timeoutSeconds": waitSeconds})
	return err
}

// watchMemory records the peak of both servers' memory, and beside it the one
// after the first seconds. The function that it returns ends that.
func (o *ours) watchMemory(m *measure) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	late := false
	go func() {
		defer close(ended)
		timer := time.NewTimer(settled)
		defer timer.Stop()
		select {
		case <-ctx.Done():
		case <-timer.C:
			late = true
			for i, s := range []*site{o.a, o.b} {
				m.peak[i] = s.peakMemory()
				s.resetPeak()
			}
		}
	}()
	return func() {
		cancel()
		<-ended
		for i, s := range []*site{o.a, o.b} {
			peak := s.peakMemory()
			m.peak[i] = max(m.peak[i], peak)
			if late {
				m.latePeak[i] = peak
			}
		}
	}
}
