package sender_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

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
	want := triggers.ListedFile{ManifestFile: name, FilePath: filepath.Join(b.Sandbox, "in/coming", name), Path: "/in/coming" + name, Size: 1}
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
