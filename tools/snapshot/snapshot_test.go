package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// commitTime is the time of all files that the tests make.
var commitTime = time.Date(2026, time.May, 4, 3, 2, 1, 0, time.UTC)

// newRelease is a release of this checkout.
func newRelease(t *testing.T) *release {
	return &release{root: filepath.Join("..", ".."), out: t.TempDir(), version: "1.2.3", commit: "abc", time: commitTime, suite: "trixie", stdout: io.Discard, stderr: t.Output()}
}

// smallBinary is a binary that is quickly compressed, said to be built from what this test
// was built from.
func smallBinary(t *testing.T) (*debug.BuildInfo, []byte) {
	t.Helper()
	info, ok := debug.ReadBuildInfo()
	if !ok {
		t.Fatal("this test does not say what it was built from")
	}
	return info, bytes.Repeat([]byte("binary "), 10_000)
}

// made returns what is in the output directory, by name.
func made(t *testing.T, r *release) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	entries, err := os.ReadDir(r.out)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(r.out, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = content
	}
	return files
}

// TestArchivesAreReproducible packs a binary twice and compares the bytes, and what is in
// the archives with what was put there.
func TestArchivesAreReproducible(t *testing.T) {
	t.Parallel()
	info, binary := smallBinary(t)
	var results []map[string][]byte
	for range 2 {
		r := newRelease(t)
		for _, p := range []platform{{"linux", "amd64"}, {"windows", "arm64"}} {
			if err := r.pack(t.Context(), p, info, binary); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.sums(); err != nil {
			t.Fatal(err)
		}
		results = append(results, made(t, r))
	}
	files := results[0]
	for name, content := range files {
		if !bytes.Equal(content, results[1][name]) {
			t.Errorf("%s differs when it is made again", name)
		}
	}
	want := []string{"SHA256SUMS", "jetstream-1.2.3-linux-amd64.cdx.json", "jetstream-1.2.3-linux-amd64.tar.gz",
		"jetstream-1.2.3-windows-arm64.cdx.json", "jetstream-1.2.3-windows-arm64.zip"}
	if got := sortedKeys(files); !slices.Equal(got, want) {
		t.Fatalf("made %q, want %q", got, want)
	}
	var sums strings.Builder
	for _, name := range want[1:] {
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(files[name]), name)
	}
	if got := string(files["SHA256SUMS"]); got != sums.String() {
		t.Errorf("SHA256SUMS has\n%s\nwant\n%s", got, sums.String())
	}
	checkEntries(t, "tar.gz", tarEntries(t, files["jetstream-1.2.3-linux-amd64.tar.gz"]), "jetstream-1.2.3-linux-amd64", "jetstream", binary)
	checkEntries(t, "zip", zipEntries(t, files["jetstream-1.2.3-windows-arm64.zip"]), "jetstream-1.2.3-windows-arm64", "jetstream.exe", binary)
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// packed is an entry as it was read back.
type packed struct {
	mode    int64
	at      time.Time
	content []byte
}

func checkEntries(t *testing.T, kind string, entries map[string]packed, dir, program string, binary []byte) {
	t.Helper()
	for _, name := range []string{program, "LICENSE", "README.md", "CHANGELOG.md", "THIRD-PARTY-LICENSES.txt",
		"completions/jetstream.bash", "completions/jetstream.zsh", "completions/jetstream.fish"} {
		e, ok := entries[dir+"/"+name]
		if !ok || len(e.content) == 0 {
			t.Errorf("%s has no %s, but %q", kind, name, sortedKeys(entries))
		}
		mode := int64(0o644)
		if name == program {
			mode = 0o755
			if !bytes.Equal(e.content, binary) {
				t.Errorf("%s: the program is not the one that was packed", kind)
			}
		}
		if e.mode != mode || !e.at.Equal(commitTime) {
			t.Errorf("%s: %s has mode %o and time %v, want %o and %v", kind, name, e.mode, e.at, mode, commitTime)
		}
	}
	if text := string(entries[dir+"/THIRD-PARTY-LICENSES.txt"].content); !strings.Contains(text, "==== Go ") || !strings.Contains(text, "==== github.com/google/uuid@") {
		t.Errorf("%s: the licences of Go and of a module are missing", kind)
	}
}

func tarEntries(t *testing.T, content []byte) map[string]packed {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	entries := map[string]packed{}
	in := tar.NewReader(z)
	for {
		h, err := in.Next()
		if err == io.EOF { //nolint:errorlint // as documented
			return entries
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Uname != "" {
			t.Errorf("%s is the builder's", h.Name)
		}
		text, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		entries[h.Name] = packed{h.Mode, h.ModTime, text}
	}
}

func zipEntries(t *testing.T, content []byte) map[string]packed {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	entries := map[string]packed{}
	for _, f := range z.File {
		in, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		entries[f.Name] = packed{int64(f.Mode().Perm()), f.Modified, text}
	}
	return entries
}

// TestSBOMListsTheModulesOfTheBinary compares with what go version -m says of it.
func TestSBOMListsTheModulesOfTheBinary(t *testing.T) {
	t.Parallel()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	binary, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "version", "-m", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(string(out), "\n")
	_, version, _ := strings.Cut(head, ": go")
	want := []string{"std " + strings.TrimSpace(version)}
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) >= 3 && f[0] == "dep" {
			want = append(want, f[1]+" "+f[2])
		}
	}
	info, err := readBuild(binary)
	if err != nil {
		t.Fatal(err)
	}
	content, err := newRelease(t).bom(info, platform{"linux", "amd64"}, binary).encode()
	if err != nil {
		t.Fatal(err)
	}
	var got bom
	if err := json.Unmarshal(content, &got); err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, c := range got.Components {
		listed = append(listed, c.Name+" "+c.Version)
		if c.URL != "pkg:golang/"+strings.ToLower(c.Name)+"@"+c.Version || c.Name != "std" && len(c.Hashes) != 1 {
			t.Errorf("%s has the package URL %s and the hashes %v", c.Name, c.URL, c.Hashes)
		}
	}
	if d := cmp.Diff(want, listed); d != "" || len(want) < 2 {
		t.Errorf("the SBOM differs from the binary (-want +got):\n%s", d)
	}
	if len(got.Dependencies) != 1 || len(got.Dependencies[0].DependsOn) != len(listed) {
		t.Errorf("dependencies: %v", got.Dependencies)
	}
}

// TestImageIsReproducible packs an image twice above a system of two files, and reads in
// its layer what users of it depend on.
func TestImageIsReproducible(t *testing.T) {
	t.Parallel()
	info, binary := smallBinary(t)
	system, err := tarred([]entry{
		{name: "./etc/passwd", content: []byte("root:x:0:0:root:/root:/bin/bash\n")},
		{name: "./etc/group", content: []byte("root:x:0:\n")},
		{name: "./var/lib/dpkg/status", content: []byte("Package: libc6\nArchitecture: amd64\nVersion: 1:2.41-1+b1\n\nPackage: dash\nVersion: 0.5\nArchitecture: amd64\n")},
	}, commitTime)
	if err != nil {
		t.Fatal(err)
	}
	var results []map[string][]byte
	for range 2 {
		r := newRelease(t)
		if err := r.packImage(t.Context(), platform{"linux", "amd64"}, system, info, binary); err != nil {
			t.Fatal(err)
		}
		results = append(results, made(t, r))
	}
	const name = "jetstream-1.2.3-oci-amd64"
	if !bytes.Equal(results[0][name+".tar"], results[1][name+".tar"]) || !bytes.Equal(results[0][name+".cdx.json"], results[1][name+".cdx.json"]) {
		t.Error("the image differs when it is made again")
	}
	if sbom := string(results[0][name+".cdx.json"]); !strings.Contains(sbom, `"pkg:deb/debian/libc6@1:2.41-1%2Bb1?arch=amd64"`) || !strings.Contains(sbom, `"pkg:deb/debian/dash@0.5?arch=amd64"`) {
		t.Errorf("the SBOM of the image has no packages of Debian:\n%s", sbom)
	}
	r := newRelease(t)
	ours, err := ourFiles(r.root, system)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range ours {
		switch e.name {
		case "etc/passwd":
			if want := "root:x:0:0:root:/root:/bin/bash\njetstream:x:10001:10001:JetStream:/var/lib/jetstream:/usr/sbin/nologin\n"; string(e.content) != want {
				t.Errorf("passwd is %q", e.content)
			}
		case "etc/jetstream/triggers/":
			if e.mode != 0o1775 || e.uid != 0 || e.gid != imageID {
				t.Errorf("the trigger directory is %o of %d:%d", e.mode, e.uid, e.gid)
			}
		}
	}
}

// TestBadArgumentsAreNamed shows the faults of a command line.
func TestBadArgumentsAreNamed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"-version", "1", "archives"}, "SOURCE_DATE_EPOCH"},
		{[]string{"-epoch", "1", "archives"}, "-version"},
		{[]string{"-version", "../x", "-epoch", "1", "archives"}, "-version"},
		{[]string{"-version", "1", "-epoch", "1"}, "say what to make"},
		{[]string{"-version", "1", "-epoch", "1", "sums"}, "nothing in"},
	} {
		args := append([]string{"-out", t.TempDir()}, tt.args...)
		if err := run(t.Context(), args, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %s", tt.args, err, tt.want)
		}
	}
}
