//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"jetstream/internal/transfer/wire"
)

// TestDryRun asks through the API what would be sent, by destination and by address.
// It makes no object and fires no event, on.* included.
func TestDryRun(t *testing.T) {
	p := newPair(t, "--trigger-on-api")
	p.from.script("on.send.createTransfer", "#!/bin/sh\nexit 0\n")
	p.from.script("send.transferQueued", "#!/bin/sh\nexit 0\n")
	p.to.script("recv.transferStarted", "#!/bin/sh\nexit 0\n")
	manifest := p.manifest()
	ask := func(params map[string]any) (int, map[string]any) {
		t.Helper()
		all := map[string]any{"manifestId": manifest, "username": "bob", "password": testPassword, "destinationPath": "/in", "dryRun": true}
		maps.Copy(all, params)
		status, reply := p.from.rest("alice", "POST", "/api/v1/send/transfers", all)
		return status, object(t, reply.Result)
	}
	address := map[string]any{"destinationAddress": "127.0.0.1", "destinationPort": p.to.recvPort}
	status, got := ask(address)
	plan, _ := got["plan"].(map[string]any)
	if status != 200 || got["transferId"] != "" || got["totalFiles"] != 3.0 || plan["filesToSend"] != 3.0 || plan["bytesToSend"] != 10.0 {
		t.Errorf("it was answered %d %v", status, got)
	}
	for name, c := range map[string]struct {
		params map[string]any
		status int
	}{
		"wrong password":           {map[string]any{"destinationAddress": "127.0.0.1", "destinationPort": p.to.recvPort, "password": "wrong"}, 409},
		"unreachable":              {map[string]any{"destinationAddress": "127.0.0.1", "destinationPort": 1}, 503},
		"no receiver":              {nil, 400},
		"two receivers":            {map[string]any{"destinationAddress": "127.0.0.1", "destinationId": manifest}, 400},
		"a port alone":             {map[string]any{"destinationPort": 1}, 400},
		"an address without it":    {map[string]any{"destinationAddress": "127.0.0.1", "dryRun": false}, 400},
		"no receiver without it":   {map[string]any{"dryRun": false}, 400},
		"a key that is none":       {map[string]any{"destinationAddress": "127.0.0.1", "destinationPublicKey": "k"}, 400},
		"checksum with overwrite":  {map[string]any{"destinationAddress": "127.0.0.1", "checksum": true}, 400},
		"a destination of nobody":  {map[string]any{"destinationId": manifest}, 404},
		"a manifest of nobody":     {map[string]any{"destinationAddress": "127.0.0.1", "manifestId": "0"}, 404},
		"a time that is too short": {map[string]any{"destinationAddress": "127.0.0.1", "timeoutSeconds": 0}, 400},
	} {
		if status, got := ask(c.params); status != c.status {
			t.Errorf("%s was answered %d %v, want %d", name, status, got, c.status)
		}
	}
	for command, list := range map[string]string{"send.getDestinations": "destinations", "send.getTransfers": "transfers"} {
		if found := p.from.call(command, nil)[list].([]any); len(found) != 0 {
			t.Errorf("there are %s: %v", list, found)
		}
	}
	if found := p.to.callAs("bob", "recv.getTransfers", nil)["transfers"].([]any); len(found) != 0 {
		t.Errorf("the receiver has transfers: %v", found)
	}
	// The two calls without dryRun, refused as invalid, are API calls like others.
	if runs := p.from.runsOf("on.send.createTransfer"); len(runs) != 2 {
		t.Errorf("on.send.createTransfer was fired %d times, want 2: %v", len(runs), runs)
	}
	p.transfer()
	status, got = ask(map[string]any{"destinationId": p.destination(), "conflict": "changed"})
	plan, _ = got["plan"].(map[string]any)
	if status != 200 || plan["unchangedFiles"] != 3.0 || plan["filesToSend"] != 0.0 {
		t.Errorf("after a transfer it was answered %d %v", status, got)
	}
	if runs := p.to.runsOf("recv.transferStarted"); len(runs) != 1 {
		t.Errorf("recv.transferStarted was fired %d times, want 1", len(runs))
	}
}

// TestDryRunEndsWhenTheCallerHangsUp hangs up while the receiver, which has the key of
// a server and never answers, is being asked.
func TestDryRunEndsWhenTheCallerHangsUp(t *testing.T) {
	p := newPair(t)
	id, err := wire.LoadIdentity(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ctx, hangUp := context.WithCancel(t.Context())
	defer hangUp()
	ended := make(chan error, 1)
	go func() {
		nc, err := ln.Accept()
		if err != nil {
			ended <- err
			return
		}
		conn, err := wire.Server(t.Context(), nc, id, wire.Hello{MinVersion: wire.MinVersion, MaxVersion: wire.MaxVersion})
		if err != nil {
			ended <- err
			return
		}
		defer conn.Abort()
		if h, _, err := conn.Read(); err != nil || h.Type != wire.TypeDryRun {
			ended <- errors.Join(errors.New("no dry run came"), err)
			return
		}
		hangUp()
		// Well before any timeout of the protocol or of the call.
		conn.Limit(time.Now().Add(30 * time.Second))
		_, _, err = conn.Read()
		ended <- err
	}()
	body, err := json.Marshal(map[string]any{
		"manifestId": p.manifest(), "username": "bob", "password": testPassword, "destinationAddress": ln.Addr().String(), "dryRun": true,
	})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.from.baseURL+"/api/v1/send/transfers", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.SetBasicAuth("alice", p.from.password)
	if res, err := http.DefaultClient.Do(req); err == nil {
		_ = res.Body.Close()
		t.Errorf("it was answered %s", res.Status)
	}
	if err := <-ended; err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the receiver's connection ended with %v", err)
	}
}
