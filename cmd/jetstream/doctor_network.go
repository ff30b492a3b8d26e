package main

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"jetstream/internal/client"
	"jetstream/internal/localhost"
	"jetstream/internal/transfer"
)

const (
	// dialTimeout bounds an attempt to connect, dialsAtATime how many there are.
	dialTimeout  = 3 * time.Second
	dialsAtATime = 16
	// mostDestinations is how many destinations are connected to.
	mostDestinations = 100
	// certificateSoon is how long before its end a certificate is worth a warning.
	certificateSoon = 21 * day
)

// dial connects to host and port and closes the connection.
func dial(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := localhost.Dial((&net.Dialer{}).DialContext)(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return conn.Close()
}

func (d *doctor) checkPorts(ctx context.Context) {
	if d.status == nil {
		d.checkFreePorts(ctx)
		return
	}
	host, port, err := net.SplitHostPort(d.status.Recv)
	if err != nil {
		return
	}
	if isLoopback(host) {
		d.add(levelWarn, "ports", "start the server with another --recv-host", "transfers are received on %s: only this machine can send here", d.status.Recv)
	}
	for _, one := range []struct{ what, address string }{{"the receive port", d.status.Recv}, {"the API's port", d.status.API}} {
		if err := dial(ctx, reachableAt(one.address)); err != nil {
			d.add(levelFail, "ports", "see the server's log and the firewall of this machine", "%s %s cannot be reached: %v", one.what, one.address, err)
			continue
		}
		d.add(levelOK, "ports", "", "%s %s answers", one.what, one.address)
	}
	if d.status.External == "" {
		return
	}
	name := d.status.External
	if _, _, err := net.SplitHostPort(name); err != nil {
		name = net.JoinHostPort(name, port)
	}
	if err := dial(ctx, name); err != nil {
		d.add(levelWarn, "ports", "let port "+port+" through to this machine; if only the router does not let it reach itself, all is well",
			"the address that others use, %s, cannot be reached from here: %v", name, err)
		return
	}
	d.add(levelOK, "ports", "", "the address that others use, %s, answers", name)
}

// reachableAt returns the address to connect to where a server listens.
func reachableAt(listening string) string {
	host, port, err := net.SplitHostPort(listening)
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		return net.JoinHostPort("localhost", port)
	}
	return listening
}

// checkFreePorts looks whether a server could listen.
func (d *doctor) checkFreePorts(ctx context.Context) {
	for _, one := range []struct {
		flag, host string
		port       uint16
	}{{"api-port", d.settings.APIHost, d.settings.APIPort}, {"recv-port", d.settings.RecvHost, d.settings.RecvPort}} {
		if one.port == 0 {
			continue
		}
		host := one.host
		if localhost.Is(host) {
			host = localhost.IPv4
		}
		var lc net.ListenConfig
		ln, err := lc.Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(int(one.port))))
		if err != nil {
			d.add(levelFail, "ports", "stop the program that has it, or choose another with --"+one.flag, "the server could not listen: %v", err)
			continue
		}
		_ = ln.Close()
		d.add(levelOK, "ports", "", "port %d is free for the server (--%s)", one.port, one.flag)
	}
}

func (d *doctor) checkCertificate(context.Context) {
	if d.status != nil && d.status.Certificate != nil {
		d.judgeCertificate(d.status.Certificate.File, d.status.Certificate.ExpiryTime.Std())
		return
	}
	if d.status != nil || d.settings.TLSCert == "" {
		return
	}
	text, err := os.ReadFile(d.settings.TLSCert)
	if err != nil {
		d.add(levelFail, "certificate", "let the server's user read it", "%v", err)
		return
	}
	block, _ := pem.Decode(text)
	if block == nil {
		d.add(levelFail, "certificate", "name a PEM file with --tls-cert", "%s holds no certificate", d.settings.TLSCert)
		return
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		d.add(levelFail, "certificate", "make it anew", "%s cannot be used: %v", d.settings.TLSCert, err)
		return
	}
	d.judgeCertificate(d.settings.TLSCert, cert.NotAfter)
}

func (d *doctor) judgeCertificate(file string, expires time.Time) {
	level, advice := levelOK, ""
	switch left := time.Until(expires); {
	case left <= 0:
		level, advice = levelFail, "renew it; the server takes the new files without a restart"
	case left < certificateSoon:
		level, advice = levelWarn, "renew it; the server takes the new files without a restart"
	}
	d.add(level, "certificate", advice, "%s: %s", file, daysLeft(expires, time.Now()))
}

// destinationsShown is the result of send.getDestinations.
type destinationsShown struct {
	Destinations []transfer.Destination `json:"destinations"`
}

func (d *doctor) checkDestinations(ctx context.Context) {
	if d.status == nil {
		return
	}
	list, err := client.As[destinationsShown](d.conn.Call(ctx, "send.getDestinations", map[string]any{"limit": 1000}))
	if err != nil {
		d.add(levelFail, "destinations", "", "they cannot be listed: %v", err)
		return
	}
	waiting := map[string]int{} // by address
	for _, one := range list.Destinations {
		waiting[net.JoinHostPort(one.DestinationAddress, strconv.Itoa(one.DestinationPort))] += one.NumTransfersQueued
	}
	addresses := make([]string, 0, len(waiting))
	for address := range waiting {
		addresses = append(addresses, address)
	}
	slices.SortFunc(addresses, func(a, b string) int { return cmp.Or(waiting[b]-waiting[a], cmp.Compare(a, b)) })
	left := len(addresses) - mostDestinations
	addresses = addresses[:min(len(addresses), mostDestinations)]
	failed := make([]error, len(addresses))
	var group errgroup.Group
	group.SetLimit(dialsAtATime)
	for i, address := range addresses {
		group.Go(func() error {
			failed[i] = dial(ctx, address)
			return nil
		})
	}
	_ = group.Wait() // the functions return no error
	reached := 0
	for i, address := range addresses {
		switch {
		case failed[i] == nil:
			reached++
		case waiting[address] > 0:
			d.add(levelFail, "destinations", "see that its server runs and that its port is let through", "%s cannot be reached, and %d transfers wait for it: %v", address, waiting[address], failed[i])
		default:
			d.add(levelWarn, "destinations", "see that its server runs and that its port is let through, or delete it", "%s cannot be reached: %v", address, failed[i])
		}
	}
	text := fmt.Sprintf("%d can be reached", reached)
	if left > 0 {
		text += fmt.Sprintf("; %d more were not tried", left)
	}
	if len(addresses) == 0 {
		text = "there are none"
	}
	d.add(levelOK, "destinations", "", "%s", text)
}
