//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// cronTime is what a line of a crontab begins with.
var cronTime = regexp.MustCompile(`^[0-9*]+ +[0-9*]+ +\* \* \* +`)

// recipes are the two machines of docs/send.md.
type recipes struct {
	t           *testing.T
	site, other *readmeHost // site-a and site-b
	siteFlags   string      // of its server
	otherFlags  string
	digests     []string // what jetstream digest has printed
}

// serve starts the server of a machine as the page takes it to be.
func (r *recipes) serve(h *readmeHost, flags string) {
	h.serve("jetstream server --recv-host 127.0.0.1 " + flags)
}

// TestSendRecipes carries out every block of docs/send.md, in its order, as TestReadme
// does with README.md.
func TestSendRecipes(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	other := newReadmeHost(t, filepath.Join(dir, "site-b"))
	site := newReadmeHost(t, filepath.Join(dir, "site-a"), "@site-b:/", fmt.Sprintf("@127.0.0.1:%d:/", other.recvPort))
	site.replace = strings.NewReplacer("JETSTREAM_API_HOST=site-a",
		"JETSTREAM_API_HOST=127.0.0.1 JETSTREAM_API_PORT="+strconv.Itoa(site.apiPort)+" JETSTREAM_API_PASSWORD="+testPassword,
		"/srv/", site.dir+"/srv/", "@site-b:/", fmt.Sprintf("@127.0.0.1:%d:/", other.recvPort))
	media := filepath.Join(site.dir, "srv", "media")
	random := rand.NewChaCha8([32]byte{}) // which does not compress
	for name, size := range map[string]int{"reel/a.mov": 20, "reel/b.mov": 2 << 20, "film/f.mov": 3 << 20, "archive/x.tar": 1 << 20, "news/n.txt": 10, "outbox/o.mov": 10} {
		text := make([]byte, size)
		_, _ = random.Read(text) // never fails
		putFile(t, filepath.Join(media, filepath.FromSlash(name)), text)
	}
	blocks := readmeBlocks(t, filepath.Join("docs", "send.md"))
	script := slices.IndexFunc(blocks, func(b readmeBlock) bool { return strings.HasPrefix(b.lines[0], "$ cat ") })
	putScript(t, other.replace.Replace(strings.TrimPrefix(blocks[script].lines[0], "$ cat ")), strings.Join(blocks[script].lines[1:], "\n")+"\n")

	r := &recipes{t: t, site: site, other: other}
	site.run("jetstream user add alice --sandbox /srv/media")
	other.run("jetstream user add bob")
	r.otherFlags = "--trigger-dir " + filepath.Join(other.dir, "lib", "triggers")
	r.serve(site, "")
	r.serve(other, r.otherFlags)
	for i, b := range blocks {
		if i != script {
			r.carryOut(b)
		}
	}
	r.arrived(media)
}

// carryOut runs a block, and looks at what it has printed where the page says it.
func (r *recipes) carryOut(b readmeBlock) {
	r.t.Helper()
	host := r.site
	if strings.HasSuffix(strings.TrimSpace(b.before), "On site-b:") {
		host = r.other
	}
	var text strings.Builder
	for _, line := range b.lines {
		line = cronTime.ReplaceAllString(line, "")
		switch {
		case line == "systemctl start jetstream": // after the power cut
			r.serve(r.site, r.siteFlags)
			r.serve(r.other, r.otherFlags)
		case strings.HasPrefix(line, "jetstream server "):
			r.siteFlags = strings.TrimSuffix(strings.TrimPrefix(line, "jetstream server "), " &")
			r.site.cut()
			r.serve(r.site, r.siteFlags)
		default:
			text.WriteString(line + "\n")
		}
	}
	powerCut := b.heading == "Go on after a power cut" && strings.Contains(text.String(), "--detach")
	limit := 0 // of these two, which shall last a moment
	if powerCut || b.heading == "Let an urgent one go first" {
		limit = 4000
	}
	out := ""
	if text.Len() > 0 {
		if !strings.HasPrefix(b.lines[0], "systemctl") { // whose servers have just begun
			r.other.run("jetstream api updateBandwidthLimits --incomingRateLimit " + strconv.Itoa(limit))
		}
		out = host.run("set -e\n" + text.String())
	}
	if powerCut {
		r.powerCut()
	}
	for heading, want := range map[string]string{
		"Look before a big send": "2 files, 2.0 MiB would be sent", "Send what is new": "complete: ",
		"Hold one for a while": "suspended", "Send from a script": "the news are there",
		"Follow a transfer in a script": `"status":"complete"`, "Send again what is missing": "complete: 0 files",
	} {
		if b.heading == heading && !strings.Contains(out, want) {
			r.t.Errorf("docs/send.md, %s: %q is missing in\n%s", heading, want, out)
		}
	}
	switch token := tokenText.FindStringSubmatch(out); {
	case b.heading == "Prove what arrived":
		r.prove(out)
	case token != nil:
		bob := filepath.Join(r.other.dir, "lib", "files", "bob")
		putFile(r.t, filepath.Join(r.site.dir, "site-b.token"), []byte(token[1]))
		putFile(r.t, filepath.Join(bob, "mirror", "reel", "stale.txt"), []byte("of the day before"))
		putFile(r.t, filepath.Join(bob, "mirror", "other.txt"), []byte("beside it"))
		for _, name := range []string{"stale.txt", "."} { // older than the list of files
			long := time.Now().Add(-time.Hour)
			if err := os.Chtimes(filepath.Join(bob, "mirror", "reel", name), long, long); err != nil {
				r.t.Fatal(err)
			}
		}
	}
}

// tokenText finds the token in the answer of createAPIToken.
var tokenText = regexp.MustCompile(`"token": "([^"]+)"`)

// powerCut ends both servers in the middle of a transfer.
func (r *recipes) powerCut() {
	r.t.Helper()
	for end := time.Now().Add(patience); !strings.Contains(r.other.run("jetstream api recv.getTransfers --status receiving"), `"receiving"`); {
		if time.Now().After(end) {
			r.t.Fatal("the transfer does not begin")
		}
	}
	r.site.cut()
	r.other.cut()
}

// prove holds what jetstream digest prints at one end against the other, and both against
// the record of the receiver.
func (r *recipes) prove(out string) {
	r.t.Helper()
	if strings.Contains(out, `"files"`) {
		digest, _, _ := strings.Cut(r.site.run("jetstream digest /srv/media/archive/x.tar"), " ") // which was sent last
		if !strings.Contains(out, ":"+digest+`"`) {
			r.t.Errorf("the record lacks the digest %s:\n%s", digest, out)
		}
		return
	}
	if r.digests = append(r.digests, out); len(r.digests) == 2 && (r.digests[0] != r.digests[1] || !strings.Contains(out, "  reel/b.mov\n")) {
		r.t.Errorf("the ends have other digests:\n%s", strings.Join(r.digests, "\n"))
	}
}

// arrived looks at what the page says is there at the end.
func (r *recipes) arrived(media string) {
	r.t.Helper()
	bob := filepath.Join(r.other.dir, "lib", "files", "bob")
	for _, name := range []string{"incoming/reel/b.mov", "incoming/film/f.mov", "archive/archive/x.tar", "second-copy/archive/x.tar", "third-copy/archive/x.tar", "incoming/news/n.txt",
		"mirror/reel/b.mov", "found/reel/a.mov"} {
		got, err := os.ReadFile(filepath.Join(bob, filepath.FromSlash(name)))
		_, below, _ := strings.Cut(name, "/")
		want, _ := os.ReadFile(filepath.Join(media, filepath.FromSlash(below)))
		if err != nil || string(got) != string(want) {
			r.t.Errorf("%s has not arrived: %v", name, err)
		}
	}
	for name, want := range map[string]bool{
		filepath.Join(bob, "mirror", "other.txt"): true, filepath.Join(bob, "mirror", "reel", "stale.txt"): false,
		filepath.Join(bob, "inbox", "outbox", "o.mov"): true, filepath.Join(media, "outbox", "o.mov"): false,
	} {
		if _, err := os.Lstat(name); (err == nil) != want {
			r.t.Errorf("%s: %v", name, err)
		}
	}
	for end := time.Now().Add(patience); ; {
		list, _ := os.ReadFile(filepath.Join(r.other.dir, "lib", "triggers", "arrived.jsonl"))
		if strings.Contains(string(list), `/news/n.txt`) {
			return
		}
		runs := r.other.run("jetstream trigger runs")
		if time.Now().After(end) {
			r.t.Fatalf("the script of docs/send.md has written %q:\n%s", list, runs)
		}
	}
}

func putFile(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
