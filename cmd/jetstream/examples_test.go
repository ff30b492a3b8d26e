//go:build unix

package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// example is a file of examples/triggers.
func example(t *testing.T, name string) string {
	t.Helper()
	return read(t, filepath.Join("..", "..", "examples", "triggers", name))
}

// needs skips a test where a program is missing; CI must have it. It is run,
// since a shim of that name proves nothing.
func needs(t *testing.T, program string) {
	t.Helper()
	if err := exec.Command(program, "--version").Run(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s does not run here (%v), and CI must have it", program, err)
		}
		t.Skipf("SKIPPED: %s does not run here (%v), so the example that needs it was not tried", program, err)
	}
}

// exampleSites is a pair whose receiver has an example installed as
// recv.transferComplete.
type exampleSites struct {
	*pair
	t *testing.T
}

const received = "recv.transferComplete"

func newExampleSites(t *testing.T, name string) *exampleSites {
	t.Helper()
	if testing.Short() {
		t.Skip("real scripts on real transfers take their time")
	}
	if strings.HasSuffix(name, ".py") || name == chain {
		needs(t, "python3")
	}
	s := &exampleSites{newPair(t), t}
	if name != chain {
		s.to.script(received, example(t, name))
	}
	return s
}

// chain stands for the script that README.md shows.
const chain = "README.md"

// oddNames are files whose names break careless scripts.
func oddNames() map[string]string {
	names := map[string]string{
		"reel/two  words.txt": "spaces", "reel/tab\there.txt": "tab", "reel/line\nbreak.txt": "line", "reel/-rf": "dash",
		"reel/quote\"'$(id)`id`;&|\\.txt": "quote", "reel/ grüße .txt": "umlaut",
	}
	if runtime.GOOS == "linux" { // others take no such name
		names["reel/not\xffutf8.txt"] = "bytes"
	}
	return names
}

// put writes files into the sender's.
func (s *exampleSites) put(files map[string]string) {
	s.t.Helper()
	for name, text := range files {
		path := filepath.Join(s.from.files, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			s.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
}

// set writes a settings file beside the script.
func (s *exampleSites) set(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.to.triggers, name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// scriptEnd is how a run of the example ended.
type scriptEnd struct {
	exit           int
	stdout, stderr string
}

// deliver transfers the files and returns how the example ended. The record
// must say so with the exit status wanted and each text.
func (s *exampleSites) deliver(exit int, texts ...string) scriptEnd {
	s.t.Helper()
	s.transfer()
	return s.ended(exit, texts...)
}

func (s *exampleSites) ended(exit int, texts ...string) scriptEnd {
	s.t.Helper()
	run := s.to.waitForRun(received)
	code, _ := run["exitCode"].(float64)
	text := func(stream string) string {
		m, _ := run[stream].(map[string]any)
		text, _ := m["text"].(string)
		return text
	}
	o := scriptEnd{int(code), text("stdout"), text("stderr")}
	if o.exit != exit || run["exitCode"] == nil {
		s.t.Fatalf("%v with exit status %v, want %d: %v\n%s%s", run["status"], run["exitCode"], exit, run["errorMessage"], o.stdout, o.stderr)
	}
	for _, want := range texts {
		if !strings.Contains(o.stdout+o.stderr, want) {
			s.t.Errorf("the record does not say %q:\n%s%s", want, o.stdout, o.stderr)
		}
	}
	return o
}

// tree is what lies below dir: the text of each file by its name.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if d.Type() == fs.ModeSocket { // a server's
			return nil
		}
		if !d.Type().IsRegular() {
			return fmt.Errorf("%s is no file", path)
		}
		b, err := os.ReadFile(path)
		out[strings.TrimPrefix(path, dir+"/")] = string(b)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

func sameTree(t *testing.T, got, want map[string]string) {
	t.Helper()
	for name, text := range want {
		if have, ok := got[name]; !ok || have != text {
			t.Errorf("%q is missing or wrong: %.60q", name, have)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%q ought not to be there", name)
		}
	}
}

func TestExampleLogLine(t *testing.T) {
	s := newExampleSites(t, "log-line.sh")
	s.put(oddNames())
	s.deliver(0)
	id := s.to.waitForRun(received)["parameters"].(map[string]any)["transfer_id"]
	first, list, _ := strings.Cut(read(t, filepath.Join(s.to.triggers, "log.txt")), "\n")
	if want := fmt.Sprintf(" %s %s bob", received, id); !strings.HasSuffix(first, want) {
		t.Errorf("the first line is %q, want %q at its end", first, want)
	}
	var want []string
	for name := range tree(t, s.from.files) {
		name = strings.NewReplacer("\t", `\t`, "\n", `\n`).Replace(name)
		want = append(want, fmt.Sprintf("  /%s is %s/in/%s", name, s.to.files, name))
	}
	got := strings.Split(strings.TrimSuffix(list, "\n"), "\n")
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the files are logged as\n%q\nwant\n%q", got, want)
	}
	// A log that cannot be written is in the record.
	if err := os.Remove(filepath.Join(s.to.triggers, "log.txt")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(s.to.triggers, "log.txt"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.deliver(1, "log.txt cannot be written")
}

// README's script for several steps, with the steps that it names.
func TestExampleChain(t *testing.T) {
	t.Parallel()
	s := newExampleSites(t, chain)
	_, after, _ := strings.Cut(example(t, chain), "```sh\n")
	text, _, ok := strings.Cut(after, "```")
	if !ok {
		t.Fatal("README.md shows no script")
	}
	s.to.script(received, text)
	if err := os.Mkdir(filepath.Join(s.to.triggers, "steps"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, step := range []string{"scan-quarantine.py", "checksum-manifest.py", "log-line.sh"} {
		s.to.script("steps/"+step, example(t, step))
	}
	s.set("scan-quarantine.conf", "scanner = true\nquarantine = "+t.TempDir()+"\n")
	s.deliver(0)
	lists, err := filepath.Glob(filepath.Join(s.to.triggers, "checksums", "*.sha256"))
	if err != nil || len(lists) != 1 {
		t.Errorf("checksums: %v (%v)", lists, err)
	}
	before := read(t, filepath.Join(s.to.triggers, "log.txt"))
	if !strings.Contains(before, "  /reel/a.txt is ") {
		t.Errorf("log.txt: %s", before)
	}
	// A step that fails is the last, and its status the whole's.
	s.set("scan-quarantine.conf", "scanner = false\nquarantine = "+t.TempDir()+"\n")
	s.deliver(3, "3 files were quarantined")
	if read(t, filepath.Join(s.to.triggers, "log.txt")) != before {
		t.Error("the chain went on after a failure")
	}
}

// README.md names each script, and each script that is named is there.
func TestExamplesAreListed(t *testing.T) {
	entries, err := os.ReadDir(filepath.Join("..", "..", "examples", "triggers"))
	if err != nil {
		t.Fatal(err)
	}
	readme := example(t, "README.md")
	rows := strings.Count(readme, "\n| `")
	for _, e := range entries {
		if e.Name() == "README.md" {
			continue
		}
		rows--
		if !strings.Contains(readme, "\n| `"+e.Name()+"` |") {
			t.Errorf("README.md does not list %s", e.Name())
		}
		if fi, err := e.Info(); err != nil || filepath.Ext(e.Name()) != ".bat" && fi.Mode()&0o111 == 0 {
			t.Errorf("%s is not executable (%v)", e.Name(), err)
		}
		text := example(t, e.Name())
		for _, word := range []string{"Needs:", "Settings:", "Exit:"} {
			if !strings.Contains(text, word) {
				t.Errorf("%s does not say %s", e.Name(), word)
			}
		}
		if crlf := strings.Count(text, "\r\n"); filepath.Ext(e.Name()) == ".bat" && crlf != strings.Count(text, "\n") || filepath.Ext(e.Name()) != ".bat" && crlf > 0 {
			t.Errorf("%s has %d lines that end with CR LF", e.Name(), crlf)
		}
	}
	if rows != 0 {
		t.Errorf("README.md lists %d scripts more or fewer than there are", rows)
	}
}

func TestExampleChecksums(t *testing.T) {
	t.Parallel()
	s := newExampleSites(t, "checksum-manifest.py")
	s.put(oddNames())
	s.deliver(0)
	id := s.to.waitForRun(received)["parameters"].(map[string]any)["transfer_id"].(string)
	whole := filepath.Join(s.to.triggers, "checksums", id+".sha256")
	sum := sha256.Sum256([]byte("alpha"))
	if line := hex.EncodeToString(sum[:]) + "  " + s.to.files + "/in/reel/a.txt\n"; !strings.Contains(read(t, whole), line) {
		t.Errorf("%s has no line %s", read(t, whole), line)
	}
	count := len(tree(t, s.from.files))
	if n := strings.Count(read(t, whole), "\n"); n != count {
		t.Errorf("%d lines for %d files", n, count)
	}
	verify(t, "/", whole)

	s.set("checksum-manifest.conf", "# beside each\nwhere = beside\n")
	s.deliver(0)
	for name := range tree(t, s.from.files) {
		path := filepath.Join(s.to.files, "in", name)
		verify(t, filepath.Dir(path), path+".sha256")
	}
	s.set("checksum-manifest.conf", "wehre = beside\n")
	s.deliver(2, "no setting 'wehre'")
}

// verify has sha256sum check a list, where there is one.
func verify(t *testing.T, dir, list string) {
	t.Helper()
	if _, err := exec.LookPath("sha256sum"); err != nil {
		return
	}
	cmd := exec.CommandContext(t.Context(), "sha256sum", "--check", "--strict", "--quiet", list)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("sha256sum refuses %s: %v\n%s", list, err, out)
	}
}

func TestExampleSort(t *testing.T) {
	t.Parallel()
	s := newExampleSites(t, "sort-by-type.py")
	s.put(oddNames())
	s.put(map[string]string{"reel/one.MOV": "first", "reel/b/one.MOV": "second", "reel/sound.wav": "la"})
	root := t.TempDir()
	s.set("sort-by-type.conf", "root = "+root+"\nvideo = .mov .mxf\naudio = .wav\n")
	want := map[string]string{"audio/sound.wav": "la"}
	for name, text := range tree(t, s.from.files) {
		if !strings.HasSuffix(name, ".MOV") && !strings.HasSuffix(name, ".wav") {
			want["other/"+filepath.Base(name)] = text
		}
	}
	s.deliver(0)
	got := tree(t, root)
	clips := []string{got["video/one.MOV"], got["video/one (2).MOV"]}
	if slices.Sort(clips); !slices.Equal(clips, []string{"first", "second"}) {
		t.Errorf("of two files of one name came %q", clips)
	}
	delete(got, "video/one.MOV")
	delete(got, "video/one (2).MOV")
	sameTree(t, got, want)
	sameTree(t, tree(t, s.to.files), nil)

	// Run again, and for an event that is made up: nothing is left to move.
	s.to.callAs("root", "retryTriggerRun", map[string]any{"runId": s.to.waitForRun(received)["runId"]})
	s.ended(0)
	if run := s.to.waitForRun(received); run["attempt"] != 2.0 {
		t.Errorf("attempt %v, want 2", run["attempt"])
	}
	s.to.callAs("root", "emitTrigger", map[string]any{"event": received})
	s.ended(0)

	// Another disk, and the rest left where it is.
	if shm, err := os.MkdirTemp("/dev/shm", "jetstream"); err == nil { //nolint:usetesting // t.TempDir is on the same disk
		t.Cleanup(func() { _ = os.RemoveAll(shm) })
		s.set("sort-by-type.conf", "root = "+shm+"\nrest =\nmovies = .mov\n")
		s.deliver(0)
		if got := tree(t, shm); len(got) != 2 || got["movies/one.MOV"] == "" {
			t.Errorf("on another disk lie %v", got)
		}
		if got := tree(t, s.to.files); got["in/reel/sound.wav"] != "la" || got["in/reel/one.MOV"] != "" {
			t.Errorf("left are %v", got)
		}
	}
	s.set("sort-by-type.conf", "root = /nowhere\n")
	s.deliver(2, "is no directory")
	s.set("sort-by-type.conf", "root = "+root+"\n../evil = .mov\n")
	s.deliver(2, "is no name of a folder")
}

func TestExampleScan(t *testing.T) {
	t.Parallel()
	s := newExampleSites(t, "scan-quarantine.py")
	s.put(oddNames())
	s.put(map[string]string{"reel/evil\nname.txt": "an EICAR-TEST file"})
	// The scanner stands for another program; it sees a path and no login.
	scanner := filepath.Join(t.TempDir(), "scanner")
	if err := os.WriteFile(scanner, []byte(`#!/bin/sh
env | grep -q ^JETSTREAM_ && exit 9
grep -q BROKEN "$2" && { echo "cannot read it"; exit 2; }
grep -q EICAR-TEST "$2" || exit 0
echo "Eicar FOUND by $1"
exit 1
`), 0o700); err != nil {
		t.Fatal(err)
	}
	quarantine := filepath.Join(t.TempDir(), "quarantine")
	config := "scanner = " + scanner + " '--some option'\nquarantine = " + quarantine + "\n"
	s.set("scan-quarantine.conf", config)
	want := map[string]string{}
	for name, text := range tree(t, s.from.files) {
		if !strings.Contains(name, "evil") {
			want["in/"+name] = text
		}
	}
	s.deliver(3, "QUARANTINED", `evil\nname.txt`, "Eicar FOUND by --some option", "1 files were quarantined")
	sameTree(t, tree(t, s.to.files), want)
	id := s.to.waitForRun(received)["eventId"].(string)
	sameTree(t, tree(t, quarantine), map[string]string{id + "-evil\nname.txt": "an EICAR-TEST file"})
	for path, mode := range map[string]fs.FileMode{quarantine: 0o700, filepath.Join(quarantine, id+"-evil\nname.txt"): 0o400} {
		if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != mode {
			t.Errorf("%q has mode %v (%v), want %v", path, fi.Mode(), err, mode)
		}
	}

	// A file that cannot be scanned stays and is named; the others are scanned.
	s.put(map[string]string{"reel/b/hard.txt": "BROKEN"})
	s.deliver(1, "NOT SCANNED", "hard.txt", "exit status 2: cannot read it", "1 files could not be scanned or moved, 1 were quarantined")

	s.set("scan-quarantine.conf", "scanner = "+scanner+" x\nquarantine = "+filepath.Join(s.to.files, "q")+"\n")
	s.deliver(2, "is inside the sandbox")
	s.set("scan-quarantine.conf", "quarantine = "+quarantine+"\nscanner = no-such-scanner --flag\n")
	s.deliver(2, "there is no scanner 'no-such-scanner --flag'", "install it")
	if _, err := exec.LookPath("clamdscan"); err != nil {
		s.set("scan-quarantine.conf", "quarantine = "+quarantine+"\n")
		s.deliver(2, "there is no scanner 'clamdscan --fdpass --no-summary'")
	}
}

// archives are what unpack-archives.py is given, good and evil.
func archives(t *testing.T) map[string]string {
	t.Helper()
	zipped := func(write func(z *zip.Writer)) string {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		write(z)
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	add := func(z *zip.Writer, name string, text io.Reader) {
		w, err := z.Create(name)
		if err == nil {
			_, err = io.Copy(w, text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	tarred := func(headers ...tar.Header) string {
		var b bytes.Buffer
		g := gzip.NewWriter(&b)
		w := tar.NewWriter(g)
		for _, h := range headers {
			text := h.Uname // holds the text until here
			h.Uname, h.Mode, h.Size, h.Typeflag = "", 0o4777, int64(len(text)), cmp.Or(h.Typeflag, tar.TypeReg)
			if err := w.WriteHeader(&h); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(w, text); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := g.Close(); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	return map[string]string{
		"good.zip": zipped(func(z *zip.Writer) {
			add(z, "dir/a.txt", strings.NewReader("in a zip"))
			add(z, "grüße.txt", strings.NewReader("umlaut"))
		}),
		"good.TAR.gz": tarred(tar.Header{Name: "./", Typeflag: tar.TypeDir}, tar.Header{Name: "./dir/b.txt", Uname: "in a tar"}),
		"up.zip":      zipped(func(z *zip.Writer) { add(z, "../evil.txt", strings.NewReader("x")) }),
		"root.zip":    zipped(func(z *zip.Writer) { add(z, "/tmp/evil.txt", strings.NewReader("x")) }),
		"twice.zip": zipped(func(z *zip.Writer) {
			add(z, "a", strings.NewReader("x"))
			add(z, "a", strings.NewReader("y"))
		}),
		"zeros.zip": zipped(func(z *zip.Writer) { add(z, "zeros", io.LimitReader(zeros{}, 8<<20)) }),
		"many.zip": zipped(func(z *zip.Writer) {
			for i := range 60 {
				add(z, fmt.Sprint("f", i), strings.NewReader(""))
			}
		}),
		"up.tgz":     tarred(tar.Header{Name: "a/../../evil.txt", Uname: "x"}),
		"link.tgz":   tarred(tar.Header{Name: "out", Typeflag: tar.TypeSymlink, Linkname: "/etc"}, tar.Header{Name: "out/evil.txt", Uname: "x"}),
		"hard.tgz":   tarred(tar.Header{Name: "passwd", Typeflag: tar.TypeLink, Linkname: "/etc/passwd"}),
		"fifo.tgz":   tarred(tar.Header{Name: "pipe", Typeflag: tar.TypeFifo}),
		"zeros.tgz":  tarred(tar.Header{Name: "zeros", Uname: strings.Repeat("\x00", 8<<20)}),
		"broken.zip": "this is no archive",
		"cut.tgz":    tarred(tar.Header{Name: "a", Uname: strings.Repeat("random? no", 1000)})[:40],
	}
}

// zeros reads as zeros without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestExampleUnpack(t *testing.T) {
	t.Parallel()
	s := newExampleSites(t, "unpack-archives.py")
	for name, text := range archives(t) {
		s.put(map[string]string{"reel/" + name: text})
	}
	want := map[string]string{}
	for name, text := range tree(t, s.from.files) {
		want["in/"+name] = text
	}
	want["in/reel/good.zip.unpacked/dir/a.txt"] = "in a zip"
	want["in/reel/good.zip.unpacked/grüße.txt"] = "umlaut"
	want["in/reel/good.TAR.gz.unpacked/dir/b.txt"] = "in a tar"
	s.set("unpack-archives.conf", "max_files = 50\nmax_ratio = 5\n")
	o := s.deliver(1, "2 archives could not be unpacked, 10 were refused")
	for name := range archives(t) {
		word := "REFUSED"
		switch name {
		case "good.zip", "good.TAR.gz":
			continue
		case "broken.zip", "cut.tgz":
			word = "NOT UNPACKED"
		}
		if !strings.Contains(o.stderr, word+" '"+s.to.files+"/in/reel/"+name+"'") {
			t.Errorf("%s: the record does not say %s", name, word)
		}
	}
	if t.Failed() {
		t.Log(o.stderr)
	}
	sameTree(t, tree(t, s.to.files), want)
	left, err := filepath.Glob(filepath.Join(s.to.files, "in/reel/.*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
	if fi, err := os.Stat(filepath.Join(s.to.files, "in/reel/good.TAR.gz.unpacked/dir/b.txt")); err != nil || fi.Mode()&(os.ModeSetuid|0o022) != 0 {
		t.Errorf("unpacked with %v (%v)", fi.Mode(), err)
	}
	s.deliver(1, "is there already")
	s.set("unpack-archives.conf", "max_files = lots\n")
	s.deliver(2, "is no number")
}
