package sender_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"jetstream/internal/transfer"
	"jetstream/internal/transfer/digest"
	"jetstream/triggers"
)

func TestTreeArrivesByteForByte(t *testing.T) {
	a, b := newSite(t), newSite(t)
	a.write("src/big.bin", 5<<20+123)
	a.write("src/a name with spaces/and\na line.txt", 100)
	a.write("src/exactly", 1<<20)
	a.put("src/empty", nil)
	a.put("src/not utf-8 \xff\xfe", []byte("x"))
	for _, dir := range []string{"src/empty dir", "src/deep/er/est"} {
		if err := os.MkdirAll(filepath.Join(a.Sandbox, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(a.Sandbox, "src/exactly"), 0o4751); err != nil {
		t.Fatal(err)
	}
	old := time.Date(2001, 2, 3, 4, 5, 6, 789, time.UTC)
	if err := os.Chtimes(filepath.Join(a.Sandbox, "src/big.bin"), old, old); err != nil {
		t.Fatal(err)
	}
	tr := a.send(b, job{path: "/in/coming"})
	complete(t, a, b, tr)
	if err := os.Chmod(filepath.Join(a.Sandbox, "src/exactly"), 0o751); err != nil { // never setuid
		t.Fatal(err)
	}
	same(t, filepath.Join(a.Sandbox, "src"), filepath.Join(b.Sandbox, "in/coming/src"))

	run := b.events(tr)[0]
	if want := fmt.Sprintf(`{"transfer_id":%q,"username":"bob"}`, tr.TransferID); string(run.Parameters) != want {
		t.Errorf("event parameters %s, want %s", run.Parameters, want)
	}
	listed := map[string]triggers.ListedFile{}
	for f, err := range b.DB.Received().List(t.Context(), run.Subject) {
		if err != nil {
			t.Fatal(err)
		}
		listed[f.ManifestFile] = f
	}
	if len(listed) != 5 {
		t.Errorf("the list has %d files, want 5: %v", len(listed), listed)
	}
	name := "/src/not utf-8 \xff\xfe"
	want := triggers.ListedFile{ManifestFile: name, FilePath: filepath.Join(b.Sandbox, "in/coming", name), Path: "/in/coming" + name, Size: 1, Digest: listed[name].Digest}
	if listed[name] != want {
		t.Errorf("listed %+v, want %+v", listed[name], want)
	}
}

func TestFiveThousandSmallFilesArrive(t *testing.T) {
	a, b := newSite(t), newSite(t)
	for i := range 5000 {
		a.write(fmt.Sprintf("src/%02d/%04d", i%50, i), i%700)
	}
	complete(t, a, b, a.send(b, job{}))
	same(t, filepath.Join(a.Sandbox, "src"), filepath.Join(b.Sandbox, "src"))
}

func TestUserHasTheAccountsNameAtBothEnds(t *testing.T) {
	from, to := newSite(t), newSite(t)
	from.write("a", 10)
	tr := from.wait(from.send(to, job{mappings: map[string]string{"/a": "/a"}, user: "BOB"}))
	complete(t, from, to, tr)
	if got := to.received(tr).Username; tr.Username != "bob" || got != "bob" {
		t.Errorf("the user is %q at the sender and %q at the receiver, want bob", tr.Username, got)
	}
}

// Every received file has a digest, which is that of what is on disk, also where
// it came in pieces over several lanes and after a break.
func TestReceivedFilesHaveDigests(t *testing.T) {
	for _, alg := range digest.Algorithms() {
		t.Run(string(alg), func(t *testing.T) {
			a, b := newSite(t), newSite(t)
			b.Stop()
			b.Digest = alg
			b.start()
			sizes := map[string]int{"empty": 0, "small": 1000, "block": 1 << 20, "more": 1<<20 + 1, "large": 9<<20 + 12345}
			for name, size := range sizes {
				a.write("src/"+name, size)
			}
			a.put("src/zeros", make([]byte, 3<<20))
			proxy := newCutter(t, b.Address, 2<<20, 4)
			tr := a.send(b, job{to: proxy.ln.Addr().String()})
			complete(t, a, b, tr)
			files := 0
			for f, err := range b.DB.Received().List(t.Context(), b.events(tr)[0].Subject) {
				if err != nil {
					t.Fatal(err)
				}
				file, err := os.Open(f.FilePath)
				if err != nil {
					t.Fatal(err)
				}
				want, _, err := digest.Of(alg, file)
				if err = errors.Join(err, file.Close()); err != nil {
					t.Fatal(err)
				}
				if f.Digest != string(alg)+":"+want {
					t.Errorf("%s has digest %s, want %s", f.Path, f.Digest, want)
				}
				files++
			}
			if files != len(sizes)+1 {
				t.Errorf("%d files are listed, want %d", files, len(sizes)+1)
			}
		})
	}
}

// Files that are so small that many are under way at a time run no further
// ahead than the receiver remembers.
func TestTwentyThousandTinyFilesArrive(t *testing.T) {
	a, b := newSite(t), newSite(t)
	for i := range 20_000 {
		a.put(fmt.Sprintf("src/%02d/%d", i%20, i), []byte("tiny"))
	}
	complete(t, a, b, a.send(b, job{}))
	if got := b.log.String(); strings.Contains(got, "too far ahead") {
		t.Error("the list ran too far ahead")
	}
}

// Neither do many files without data behind one with data.
func TestManyEmptyFilesBehindAnotherArrive(t *testing.T) {
	a, b := newSite(t), newSite(t)
	a.put("src/a", []byte("data"))
	for i := range 10_000 {
		a.put(fmt.Sprintf("src/b/%d", i), nil)
	}
	complete(t, a, b, a.send(b, job{}))
}

// A receiver that has lost what it had confirmed gets everything again.
func TestConfirmedButLostDataAreSentAgain(t *testing.T) {
	a, b := newSite(t), newSite(t)
	a.write("src/1", 100_000)
	b.Stop()
	tr := a.send(b, job{})
	a.until(tr, "waiting", func(t transfer.Transfer) bool { return t.ErrorMessage != "" })
	if _, err := a.engine.Change(t.Context(), tr.TransferID, func(t *transfer.Transfer) error {
		t.FilesSent, t.BytesSent = t.TotalFiles, t.TotalBytes
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	b.start()
	complete(t, a, b, tr)
	same(t, filepath.Join(a.Sandbox, "src"), filepath.Join(b.Sandbox, "src"))
}
