//go:build unix

package main

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// printedCommand are the commands that jetstream rekey prints for the peers.
var printedCommand = regexp.MustCompile(`(?m)^  jetstream api (.*)$`)

// TestWhatPeersOfARekeyedServerDo: both ends get a new key, one after the other. Nothing
// arrives until the commands that rekey has printedCommand were given at the other end.
func TestWhatPeersOfARekeyedServerDo(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.transfer()
	p.to.callAs("root", "recv.addAuthorizedClient", map[string]any{"publicKey": p.from.call("getServerInfo", nil)["publicKey"]})
	p.to.callAs("root", "recv.allowOnlyAuthorizedClients", map[string]any{"onlyAuthorizedClientsAllowed": true})
	rekey := func(l *live) (commands []string) {
		t.Helper()
		port := l.recvPort
		l.stop()
		for _, m := range printedCommand.FindAllStringSubmatch(command(t, "rekey", "--persistent-state-dir="+l.state), -1) {
			commands = append(commands, m[1])
		}
		if len(commands) != 3 {
			t.Fatalf("it prints %q", commands)
		}
		l.start(append(l.flags, fmt.Sprintf("--recv-port=%d", port))...)
		return commands
	}
	refused := func(reason string) {
		t.Helper()
		x := p.from.call("send.createTransfer", map[string]any{
			"manifestId": p.manifest(), "destinationId": p.destination(), "username": "bob", "password": testPassword,
		})
		got := p.from.call("send.waitForTransfer", map[string]any{"transferId": x["transferId"]})
		if message := fmt.Sprint(got["errorMessage"]); got["status"] != "error" || !strings.Contains(message, reason) {
			t.Errorf("before the peer was told: %v, want %q", got, reason)
		}
	}
	give := func(l *live, commands ...string) {
		t.Helper()
		for _, c := range commands {
			if code, _, errs := l.cli("root", strings.Fields(strings.Replace(c, " ID ", " "+p.destination()+" ", 1))...); code != 0 {
				t.Errorf("jetstream api %s: %s", c, errs)
			}
		}
	}

	commands := rekey(p.to)
	refused("give the destination " + p.destination() + " its new key with send.updateDestination")
	give(p.from, commands[0])
	p.transfer()

	commands = rekey(p.from)
	refused("its operator must add the public key")
	give(p.to, commands[1:]...)
	p.transfer()
}
