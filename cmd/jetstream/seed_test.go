//go:build unix

package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// seedScript is a sample of the trigger chapter as it stands there (testdata/
// seed, with the TAB and the done that the page had lost), with what the
// reader fills in replaced.
func seedScript(t *testing.T, event string, replace ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "seed", event))
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(text, replace[i]) {
			t.Fatalf("the sample %s has no %q", event, replace[i])
		}
		text = strings.ReplaceAll(text, replace[i], replace[i+1])
	}
	return text
}

// program makes a jetstream program: this test binary, which is one when it is
// called by that name (see TestMain).
func programFile(t testing.TB) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "jetstream")
	if err := os.Symlink(self, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestSeedSamples runs the samples of the trigger chapter and reads in their
// log.txt exactly what the chapter promises, in order.
func TestSeedSamples(t *testing.T) {
	from, to := newLive(t), newLive(t)
	to.addUser("bob", false)
	to.script("recv.transferComplete", seedScript(t, "recv.transferComplete"))
	to.start("--trigger-dir="+to.triggers, "--trigger-log")

	receiver := net.JoinHostPort("127.0.0.1", fmt.Sprint(to.recvPort))
	from.script("launch", seedScript(t, "launch", "/usr/local/bin/jetstream", programFile(t), "<username>", "alice", "<destination_address>", receiver))
	from.script("send.destinationCreated", seedScript(t, "send.destinationCreated"))
	from.script("send.destinationDeleted", seedScript(t, "send.destinationDeleted"))
	for name, text := range map[string]string{"reel/a.txt": "alpha", "reel/a b c.txt": "beta", "reel/sub/d": strings.Repeat("delta", 300_000)} {
		path := filepath.Join(from.files, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	from.start("--trigger-dir="+from.triggers, "--trigger-log")
	from.awaitRuns("send.destinationCreated", 1) // by launch, as alice, without a password

	destinations := from.call("send.getDestinations", nil)["destinations"].([]any)
	if len(destinations) != 1 {
		t.Fatalf("the launch script made %d destinations, want 1", len(destinations))
	}
	d := destinations[0].(map[string]any)
	if d["owner"] != "alice" || d["destinationAddress"] != "127.0.0.1" || d["sendRateMax"] != 100000.0 {
		t.Errorf("the launch script made %v", d)
	}
	pair := &pair{from: from, to: to}
	id := pair.transfer()
	to.awaitRuns("recv.transferComplete", 1)
	from.call("send.deleteDestination", map[string]any{"destinationId": d["destinationId"], "force": true})
	from.awaitRuns("send.destinationDeleted", 1)

	sender := net.JoinHostPort("127.0.0.1", fmt.Sprint(from.recvPort))
	wantLog(t, from, fmt.Sprintf("JetStream server Launched on port %d\n", from.apiPort)+
		fmt.Sprintf("Sender %s created destination %s\n", sender, receiver)+
		fmt.Sprintf("Sender %s deleted destination %s\n", sender, receiver))
	files := to.files + "/in/reel/"
	wantLog(t, to, fmt.Sprintf("Transfer ID %s initiated by bob is complete.\n", id)+
		"manifest file: /reel/a b c.txt, file path: "+files+"a b c.txt\n"+
		"manifest file: /reel/a.txt, file path: "+files+"a.txt\n"+
		"manifest file: /reel/sub/d, file path: "+files+"sub/d\n")
}

func wantLog(t *testing.T, l *live, want string) {
	t.Helper()
	got, err := os.ReadFile(filepath.Join(l.triggers, "log.txt"))
	if err != nil || string(got) != want {
		t.Errorf("log.txt (%v) holds\n%s\nwant\n%s", err, got, want)
	}
}

// TestSeedPythonScript runs the chapter's Python script under both Pythons,
// changed in nothing but the first line.
func TestSeedPythonScript(t *testing.T) {
	for version, want := range map[string]string{
		"2.7": `^Message: 'Manifest requested.'
Status: 'success'
Command: \{u'request': u'send.createManifest', u'parameters': \{u'fileMappings': \{u'/src/foo.txt': u'/dst/bar.txt'\}\}\}
Result: \{.*u'status': u'pending'.*\}
$`,
		"3": `^Message: 'Manifest requested.'
Status: 'success'
Command: \{'request': 'send.createManifest', 'parameters': \{'fileMappings': \{'/src/foo.txt': '/dst/bar.txt'\}\}\}
Result: \{'manifestId': '[0-9a-f]{32}', 'status': 'pending', 'processing': True, 'totalFiles': None, 'totalSize': None, 'skippedEntries': None, 'errorMessage': None, .*\}
$`,
	} {
		t.Run(version, func(t *testing.T) {
			python := findPython(version)
			if python == "" {
				t.Skipf("SKIPPED: there is no Python %s on this machine, so the seed's Python script was not tried under it", version)
			}
			l := newLive(t)
			l.script("on.send.createManifest", seedScript(t, "on.send.createManifest", "#!/usr/bin/env python", "#!"+python))
			l.start("--trigger-dir="+l.triggers, "--trigger-on-api", "--trigger-log")
			l.call("send.createManifest", map[string]any{"fileMappings": map[string]string{"/src/foo.txt": "/dst/bar.txt"}})
			l.awaitRuns("on.send.createManifest", 1)
			got, err := os.ReadFile(filepath.Join(l.triggers, "log.txt"))
			if version == "2.7" { // its dicts have an order of their own
				got = []byte(strings.ReplaceAll(string(got), "{u'parameters': {u'fileMappings': {u'/src/foo.txt': u'/dst/bar.txt'}}, u'request': u'send.createManifest'}",
					"{u'request': u'send.createManifest', u'parameters': {u'fileMappings': {u'/src/foo.txt': u'/dst/bar.txt'}}}"))
			}
			if err != nil || !regexp.MustCompile(want).Match(got) {
				t.Errorf("log.txt (%v) holds\n%s\nwant\n%s\n%s", err, got, want, l.console)
			}
		})
	}
}

// findPython returns the real file of a Python of that version, "" when there
// is none. What only looks like one (a version manager's shim) does not count:
// it is asked for its version.
func findPython(version string) string {
	candidates := []string{"python" + version, "python" + version[:1]}
	home, _ := os.UserHomeDir()
	installed, _ := filepath.Glob(filepath.Join(home, ".pyenv", "versions", version+"*", "bin", "python"+version))
	for _, c := range append(installed, candidates...) {
		path, err := exec.LookPath(c)
		if err != nil {
			continue
		}
		out, err := exec.Command(path, "-V").CombinedOutput()
		if err == nil && strings.HasPrefix(string(out), "Python "+version) {
			return path
		}
	}
	return ""
}
