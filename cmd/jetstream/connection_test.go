//go:build unix

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func connectionVaries() []string { return []string{"sendRate", "roundTripTimeMs"} }

// connection is the id of a connection with a lane, over which a transfer is being sent
// as slowly as can be. It is the newest until others are made.
func (p *pair) connection() any {
	p.from.t.Helper()
	if p.slow == nil {
		if err := os.WriteFile(filepath.Join(p.from.files, "slow.bin"), make([]byte, 256<<10), 0o600); err != nil {
			p.from.t.Fatal(err)
		}
		m := p.from.call("send.createManifest", map[string]any{"fileMappings": map[string]string{"/slow.bin": "/slow.bin"}})
		p.from.call("send.waitForManifest", map[string]any{"manifestId": m["manifestId"]})
		d := p.from.call("send.createDestination", map[string]any{
			"destinationAddress": "localhost", "destinationPort": p.to.recvPort, "sendRateMax": 1,
		})
		p.slow = p.from.call("send.createTransfer", map[string]any{
			"manifestId": m["manifestId"], "destinationId": d["destinationId"], "username": "bob", "password": testPassword, "destinationPath": "/slow",
		})["transferId"]
	}
	for {
		for _, c := range p.from.call("send.getConnections", nil)["connections"].([]any) {
			c := c.(map[string]any)
			if c["transferId"] == p.slow && c["lanes"] == 1.0 {
				return c["connectionId"]
			}
		}
	}
}

// A connection is seen by the owner of its transfer and by superusers, and says
// what it is made of.
func TestConnectionsAreShown(t *testing.T) {
	p := newPair(t)
	id := p.connection()
	path := fmt.Sprintf("/api/v1/send/connections/%v", id)
	p.from.addUser("eve", false)
	for user, want := range map[string]int{"alice": 200, "root": 200, "eve": 404} {
		if status, reply := p.from.rest(user, "GET", path, nil); status != want {
			t.Errorf("%s got %d %v, want %d", user, status, reply, want)
		}
	}
	c := p.from.call("send.getConnection", map[string]any{"connectionId": id})
	if c["state"] != "connected" || c["destinationAddress"] != "localhost" || c["lastError"] != "" ||
		c["destinationPublicKey"] != p.to.call("getServerInfo", nil)["publicKey"] {
		t.Errorf("it shows %v", c)
	}
	p.from.call("send.cancelTransfer", map[string]any{"transferId": p.slow})
	p.from.call("send.waitForTransfer", map[string]any{"transferId": p.slow})
}
