//go:build linux

package main

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// sendSteps are those of docs/send.md, whose transfers shall partly last a moment.
var sendSteps = pageSteps{before: beforeSend, after: afterSend, end: arrivedBySend}

const afterPowerCut = "systemctl start jetstream"

func beforeSend(m *manual, b *manualBlock) string {
	m.t.Helper()
	if len(m.machines) == 0 {
		random := rand.NewChaCha8([32]byte{}) // which does not compress
		for name, size := range map[string]int{"reel/a.mov": 20, "reel/b.mov": 2 << 20, "film/f.mov": 3 << 20, "archive/x.tar": 1 << 20, "news/n.txt": 10, "outbox/o.mov": 10} {
			text := make([]byte, size)
			_, _ = random.Read(text) // never fails
			putFile(m.t, filepath.Join(m.machine("site-a").path("/srv/media"), filepath.FromSlash(name)), text)
		}
	}
	limit := 0
	switch {
	case strings.Contains(b.text, afterPowerCut):
		other := m.machine("site-b")
		other.serve(other.flags)
		return ""
	case goesOff(b), b.heading == "Let an urgent one go first":
		limit = 4000
	}
	m.machine("site-b").run("jetstream api updateBandwidthLimits --incomingRateLimit " + strconv.Itoa(limit))
	return ""
}

// goesOff says whether the power fails after a block.
func goesOff(b *manualBlock) bool {
	return b.heading == "Go on after a power cut" && strings.Contains(b.text, "--detach")
}

func afterSend(m *manual, b *manualBlock, out string) {
	m.t.Helper()
	site, other := m.machine("site-a"), m.machine("site-b")
	if goesOff(b) {
		for end := time.Now().Add(patience); !strings.Contains(other.run("jetstream api recv.getTransfers --status receiving"), `"receiving"`); {
			if time.Now().After(end) {
				m.t.Fatal("the transfer does not begin")
			}
		}
		site.cut()
		other.cut()
	}
	want := map[string]string{
		"Look before a big send": "2 files, 2.0 MiB would be sent", "Send what is new": "complete: ",
		"Hold one for a while": "suspended", "Send from a script": "the news are there",
		"Follow a transfer in a script": `"status":"complete"`, "Send again what is missing": "complete: 0 files",
	}[b.heading]
	if !strings.Contains(out, want) {
		m.t.Errorf("%s: %q is missing in\n%s", b, want, out)
	}
	switch token := tokenText.FindStringSubmatch(out); {
	case b.heading == "Prove what arrived":
		m.prove(out)
	case token != nil:
		bob := other.path("/var/lib/jetstream/files/bob")
		putFile(m.t, filepath.Join(site.dir, "site-b.token"), []byte(token[1]))
		putFile(m.t, filepath.Join(bob, "mirror", "reel", "stale.txt"), []byte("of the day before"))
		putFile(m.t, filepath.Join(bob, "mirror", "other.txt"), []byte("beside it"))
		for _, name := range []string{"stale.txt", "."} { // older than the list of files
			long := time.Now().Add(-time.Hour)
			if err := os.Chtimes(filepath.Join(bob, "mirror", "reel", name), long, long); err != nil {
				m.t.Fatal(err)
			}
		}
	}
}

// tokenText finds the token in the answer of createAPIToken.
var tokenText = regexp.MustCompile(`"token": "([^"]+)"`)

// prove holds what jetstream digest prints at one end against the other, and both against
// the record of the receiver.
func (m *manual) prove(out string) {
	m.t.Helper()
	if strings.Contains(out, `"files"`) {
		digest, _, _ := strings.Cut(m.machine("site-a").run("jetstream digest /srv/media/archive/x.tar"), " ") // which was sent last
		if !strings.Contains(out, ":"+digest+`"`) {
			m.t.Errorf("the record lacks the digest %s:\n%s", digest, out)
		}
		return
	}
	if before := m.ids["digests"]; before != "" && (before != out || !strings.Contains(out, "  reel/b.mov\n")) {
		m.t.Errorf("the ends have other digests:\n%s%s", before, out)
	}
	m.ids["digests"] = out
}

// arrivedBySend looks at what docs/send.md says is there at the end.
func arrivedBySend(m *manual) {
	m.t.Helper()
	bob, media := m.machine("site-b").path("/var/lib/jetstream/files/bob"), m.machine("site-a").path("/srv/media")
	for _, name := range []string{"incoming/reel/b.mov", "incoming/film/f.mov", "archive/archive/x.tar", "second-copy/archive/x.tar", "third-copy/archive/x.tar", "incoming/news/n.txt",
		"mirror/reel/b.mov", "found/reel/a.mov"} {
		got, err := os.ReadFile(filepath.Join(bob, filepath.FromSlash(name)))
		_, below, _ := strings.Cut(name, "/")
		want, _ := os.ReadFile(filepath.Join(media, filepath.FromSlash(below)))
		if err != nil || string(got) != string(want) {
			m.t.Errorf("%s has not arrived: %v", name, err)
		}
	}
	for name, want := range map[string]bool{
		filepath.Join(bob, "mirror", "other.txt"): true, filepath.Join(bob, "mirror", "reel", "stale.txt"): false,
		filepath.Join(bob, "inbox", "outbox", "o.mov"): true, filepath.Join(media, "outbox", "o.mov"): false,
	} {
		if _, err := os.Lstat(name); (err == nil) != want {
			m.t.Errorf("%s: %v", name, err)
		}
	}
	m.written("site-b", "/var/lib/jetstream/triggers/arrived.jsonl", `/found/reel/a.mov`)
}

// written waits until a script has written text into a file of a machine.
func (m *manual) written(machine, file, text string) {
	m.t.Helper()
	h := m.machine(machine)
	for end := time.Now().Add(patience); ; {
		got, _ := os.ReadFile(h.path(file))
		if strings.Contains(h.there(string(got)), text) {
			return
		}
		runs := h.run("jetstream trigger runs") // takes a moment
		if time.Now().After(end) {
			m.t.Fatalf("%s of %s has %q:\n%s", file, machine, got, runs)
		}
	}
}
