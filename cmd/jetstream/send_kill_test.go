//go:build unix

package main

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestKilledSendLeavesItsWorkToTheServer kills jetstream send at several moments, with
// --mirror and with --delete-source. The server ends what was begun, and what was not
// begun has removed nothing.
func TestKilledSendLeavesItsWorkToTheServer(t *testing.T) {
	p := newPair(t)
	for _, flag := range []string{"--mirror", "--delete-source"} {
		for _, moment := range []struct {
			name string
			// until is what a line of its output holds after which it is killed; empty: at once.
			until string
			// begun reports that the transfer exists by then.
			begun bool
		}{
			{"at once", "", false},
			{"when the files are listed", `"type":"manifest"`, false},
			{"while the receiver is away", `"status":"pending"`, true},
			{"while it is sent", `"status":"active"`, true},
			{"at the end", `"type":"result"`, true},
		} {
			t.Run(strings.TrimPrefix(flag, "--")+" "+moment.name, func(t *testing.T) {
				t.Parallel()
				k := newKilledSend(t, p, flag)
				if moment.until == `"status":"pending"` {
					k.link.refuse(true)
				}
				k.run(moment.until)
				k.link.refuse(false)
				k.check(moment.begun)
			})
		}
	}
}

// killedSend is a jetstream send that is killed.
type killedSend struct {
	t        *testing.T
	pair     *pair
	link     *badLink
	flag     string
	name     string // of the source, and of the directory that it becomes
	from, to string
	want     map[string]string
}

func newKilledSend(t *testing.T, p *pair, flag string) *killedSend {
	k := &killedSend{t: t, pair: p, link: newBadLink(t, fmt.Sprintf("127.0.0.1:%d", p.to.recvPort)), flag: flag,
		name: strings.NewReplacer("/", " ", "#", " ").Replace(t.Name())}
	k.from, k.to = filepath.Join(p.from.files, k.name), filepath.Join(p.to.files, "in", k.name)
	large := make([]byte, 300_000)
	_, _ = rand.NewChaCha8([32]byte{}).Read(large) // which does not compress
	for path, text := range map[string]string{
		k.from + "/a": "a", k.from + "/d/b": "b", k.from + "/large": string(large),
		k.to + "/stale": "", k.to + "/d/old/stale": "", k.to + " beside/kept": "",
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if k.want, _, _, err = describeTree(k.from); err != nil {
		t.Fatal(err)
	}
	ageFiles(t)
	return k
}

// run starts the program and kills it once it has written a line with a text.
func (k *killedSend) run(until string) {
	k.t.Helper()
	rate := "--rate=800" // so that it is under way for seconds, until check raises it
	if until == `"type":"result"` {
		rate = "--rate=0"
	}
	cmd := exec.CommandContext(k.t.Context(), programFile(k.t), "send", "--json", "--accept-key", rate, k.flag, k.from, "bob@"+k.link.listener.Addr().String()+":/in")
	cmd.Env = append(os.Environ(), "JETSTREAM_API_HOST="+k.pair.from.host, "JETSTREAM_API_PORT="+strconv.Itoa(k.pair.from.apiPort),
		"JETSTREAM_API_USER=alice", "JETSTREAM_API_PASSWORD="+k.pair.from.password, "JETSTREAM_REMOTE_PASSWORD="+k.pair.to.password)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		k.t.Fatal(err)
	}
	found := until == ""
	for lines := bufio.NewScanner(stdout); !found && lines.Scan(); {
		found = strings.Contains(lines.Text(), until)
	}
	_ = cmd.Process.Kill()
	if _ = cmd.Wait(); !found {
		k.t.Errorf("it did not write %s: %s", until, &stderr)
	}
}

// check waits until the server has ended the transfer, if there is one, and looks at
// both ends.
func (k *killedSend) check(begun bool) {
	t := k.t
	list := k.pair.from.call("send.getTransfers", map[string]any{"limit": 1000})["transfers"].([]any)
	mine := slices.IndexFunc(list, func(x any) bool {
		return x.(map[string]any)["destinationPort"] == float64(k.link.listener.Addr().(*net.TCPAddr).Port)
	})
	if begun && mine < 0 {
		t.Fatal("there is no transfer")
	}
	removed := mine >= 0
	if removed {
		x := list[mine].(map[string]any)
		k.pair.from.call("send.updateDestination", map[string]any{"destinationId": x["destinationId"], "sendRateMax": 0})
		got := k.pair.from.call("send.waitForTransfer", map[string]any{"transferId": x["transferId"], "timeoutSeconds": 50})
		if got["status"] != "complete" || got["processing"] != false || got["deletingSources"] != false {
			t.Errorf("it is %v", got)
		}
	}
	here, _, _, err := describeTree(k.from)
	if err != nil {
		t.Fatal(err)
	}
	there, _, _, err := describeTree(k.to)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range k.want {
		if here[name] != want && there[name] != want && !strings.HasPrefix(want, "d") {
			t.Errorf("LOST: %q is %q at the sender and %q at the receiver", name, here[name], there[name])
		}
		if removed && there[name] == "" {
			t.Errorf("%q has not arrived", name)
		}
	}
	if gone := here["a"] == "" && here["d/b"] == "" && here["large"] == ""; gone != (removed && k.flag == "--delete-source") {
		t.Errorf("there is a transfer: %v; the source has %v", removed, here)
	}
	if gone := there["stale"] == "" && there["d/old/stale"] == ""; gone != (removed && k.flag == "--mirror") {
		t.Errorf("there is a transfer: %v; the receiver has %v", removed, there)
	}
	if _, err := os.Stat(k.to + " beside/kept"); err != nil {
		t.Errorf("LOST outside the mirror: %v", err)
	}
}
