package sender_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"jetstream/internal/transfer"
	"jetstream/internal/transfer/digest"
	"jetstream/internal/transfer/wire"
)

// rewrites are the ways in which a file changes.
func rewrites() map[string]func(s *site, name string) {
	return map[string]func(s *site, name string){
		"grows":                   func(s *site, name string) { s.append(name, 3<<20) },
		"shrinks":                 func(s *site, name string) { s.must(os.Truncate(s.path(name), 100)) },
		"is empty":                func(s *site, name string) { s.must(os.Truncate(s.path(name), 0)) },
		"is written with as much": func(s *site, name string) { s.put(name, bytes.Repeat([]byte("n"), s.size(name))) },
		"is replaced": func(s *site, name string) {
			dir, err := os.Stat(filepath.Dir(s.path(name)))
			s.must(err)
			s.put("new", bytes.Repeat([]byte("r"), s.size(name)+1))
			s.must(os.Rename(s.path("new"), s.path(name)))
			s.must(os.Chtimes(filepath.Dir(s.path(name)), time.Time{}, dir.ModTime())) // those are of the manifest
		},
		"is of another time": func(s *site, name string) {
			s.must(os.Chtimes(s.path(name), time.Unix(1e9, 5), time.Unix(1e9, 5)))
		},
	}
}

func (s *site) path(name string) string { return filepath.Join(s.Sandbox, name) }

func (s *site) must(err error) {
	s.T.Helper()
	if err != nil {
		s.T.Fatal(err)
	}
}

func (s *site) size(name string) int {
	s.T.Helper()
	fi, err := os.Stat(s.path(name))
	s.must(err)
	return int(fi.Size())
}

func (s *site) append(name string, n int) {
	s.T.Helper()
	f, err := os.OpenFile(s.path(name), os.O_APPEND|os.O_WRONLY, 0)
	s.must(err)
	_, err = f.Write(bytes.Repeat([]byte("+"), n))
	s.must(errors.Join(err, f.Close()))
}

// arrivesAsItIs checks that a transfer completes, with the files as they are now.
func arrivesAsItIs(t *testing.T, a, b *site, tr transfer.Transfer) {
	t.Helper()
	complete(t, a, b, tr)
	same(t, filepath.Join(a.Sandbox, "src"), filepath.Join(b.Sandbox, "src"))
	var files, size int64
	for f, err := range b.DB.Received().List(t.Context(), b.events(tr)[0].Subject) {
		if err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(f.FilePath)
		want, _, digestErr := digest.Of(digest.XXH3, bytes.NewReader(content))
		if err := errors.Join(err, digestErr); err != nil || f.Digest != string(digest.XXH3)+":"+want || f.Size != int64(len(content)) {
			t.Errorf("%s has digest %s and %d bytes, want %s and %d (%v)", f.Path, f.Digest, f.Size, want, len(content), err)
		}
		files, size = files+1, size+f.Size
	}
	if got, r := a.wait(tr), b.received(tr); got.TotalBytes != size || got.BytesSent != size || got.FilesSent != files || r.TotalSize != size {
		t.Errorf("%d files of %d bytes are there; sent are %d of %d, %d bytes; received %d", files, size, got.FilesSent, got.BytesSent, got.TotalBytes, r.TotalSize)
	}
}

// A file that has changed since the manifest was made is sent as it is, also many of
// them, and one that was empty.
func TestChangedFilesAreSentAsTheyAre(t *testing.T) {
	a, b := newSite(t), newSite(t)
	for what := range rewrites() {
		a.write("src/large, "+what, 2<<20+len(what))
		a.write("src/small, "+what, 5000)
		for i := range 100 {
			a.write(fmt.Sprintf("src/tiny, %s/%d", what, i), 10+i)
		}
		a.write("src/quiet "+what, 3000)
	}
	a.put("src/empty", nil)
	b.Stop()
	tr := a.send(b, job{})
	a.until(tr, "waiting", func(t transfer.Transfer) bool { return t.ErrorMessage != "" })
	for what, rewrite := range rewrites() {
		rewrite(a, "src/large, "+what)
		rewrite(a, "src/small, "+what)
		for i := range 100 {
			if what != "grows" || i == 0 {
				rewrite(a, fmt.Sprintf("src/tiny, %s/%d", what, i))
			}
		}
	}
	a.append("src/empty", 1<<20+1)
	b.start()
	arrivesAsItIs(t, a, b, tr)
}

// Neither are there lanes for files that are all empty, until one has grown.
func TestEmptyFileThatHasGrownArrives(t *testing.T) {
	a, b := newSite(t), newSite(t)
	a.put("src/log", nil)
	b.Stop()
	tr := a.send(b, job{})
	a.until(tr, "waiting", func(t transfer.Transfer) bool { return t.ErrorMessage != "" })
	a.append("src/log", 3<<20)
	b.start()
	arrivesAsItIs(t, a, b, tr)
}

// A file that changes while several lanes send it arrives as it is, whole.
func TestFileThatChangesOnTheWayIsSentAnew(t *testing.T) {
	for what, rewrite := range rewrites() {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			a, b := newSite(t), newSite(t)
			a.write("src/big", 8<<20)
			a.write("src/other", 1000)
			old, err := os.ReadFile(a.path("src/big"))
			a.must(err)
			a.limit(b, 12_000)
			tr := a.send(b, job{})
			a.underWay(tr)
			a.limit(b, 400) // it must not end before the file changes
			rewrite(a, "src/big")
			a.limit(b, 0)
			if what != "is replaced" {
				arrivesAsItIs(t, a, b, tr)
				return
			}
			// Lanes that have it open may deliver it as it was.
			complete(t, a, b, tr)
			now, err := os.ReadFile(a.path("src/big"))
			a.must(err)
			if got, err := os.ReadFile(b.path("src/big")); !bytes.Equal(got, now) && !bytes.Equal(got, old) {
				t.Errorf("what arrived is neither the file of before nor that of now: %d bytes, %x (%v)", len(got), wire.Sum(got), err)
			}
		})
	}
}

// A file that changes while a server is down, when a part of it was there.
func TestFileThatChangesDuringARestartIsSentAnew(t *testing.T) {
	for side, ways := range map[string][]string{"sender": {"grows", "is empty"}, "receiver": {"is written with as much", "shrinks"}} {
		for _, what := range ways {
			rewrite := rewrites()[what]
			t.Run(what+" without the "+side, func(t *testing.T) {
				t.Parallel()
				a, b := newSite(t), newSite(t)
				a.write("src/0", 1000)
				a.write("src/big", 6<<20)
				a.limit(b, 8_000)
				tr := a.send(b, job{})
				a.underWay(tr)
				a.limit(b, 400) // it must not end before the file changes
				stopped := map[string]*site{"sender": a, "receiver": b}[side]
				stopped.Stop()
				rewrite(a, "src/big")
				stopped.start()
				a.limit(b, 0)
				arrivesAsItIs(t, a, b, tr)
			})
		}
	}
}

// A file that has changed before it was sent goes on where it was, after a restart.
func TestChangedFileGoesOnAfterARestart(t *testing.T) {
	a, b := newSite(t), newSite(t)
	a.write("src/big", 1<<20)
	b.Stop()
	proxy := newCutter(t, b.Address, 0, 0)
	address := proxy.ln.Addr().String()
	a.limitAt(address, 80_000)
	tr := a.send(b, job{to: address})
	a.until(tr, "waiting", func(t transfer.Transfer) bool { return t.ErrorMessage != "" })
	a.append("src/big", 11<<20)
	b.start()
	a.sends(tr, 6<<20)
	a.Stop()
	a.start()
	a.limitAt(address, 0)
	arrivesAsItIs(t, a, b, tr)
	a.Stop() // all connections are closed and counted
	_ = proxy.ln.Close()
	proxy.wg.Wait()
	if proxy.carried > 17<<20 {
		t.Errorf("%d bytes were sent of a file of 12 MiB, of which 6 were there", proxy.carried)
	}
}

// A file that never is at rest ends the transfer, or is left out.
func TestFileThatChangesAllTheTimeFails(t *testing.T) {
	for _, onError := range []string{"stop", "continue"} {
		t.Run(onError, func(t *testing.T) {
			t.Parallel()
			a, b := newSite(t), newSite(t)
			a.write("src/log", 4<<20)
			a.write("src/other", 1000)
			a.limit(b, 4_000)
			log, err := os.OpenFile(a.path("src/log"), os.O_APPEND|os.O_WRONLY, 0)
			a.must(err)
			over := make(chan struct{})
			var writing sync.WaitGroup
			writing.Go(func() {
				for {
					select {
					case <-over:
						return
					default:
						_, _ = log.Write([]byte("x"))
					}
				}
			})
			tr := a.send(b, job{onError: onError})
			got := a.wait(tr)
			close(over)
			writing.Wait()
			a.must(log.Close())
			if got.Status != transfer.StatusError || !strings.Contains(got.ErrorMessage, "/src/log\" changes all the time") {
				t.Errorf("it ended as %s: %s", got.Status, got.ErrorMessage)
			}
			if _, err := os.Stat(b.path("src/other")); (err == nil) != (onError == "continue") {
				t.Errorf("the other file: %v", err)
			}
			if _, err := os.Stat(b.path("src/log")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("something of the file has arrived (%v)", err)
			}
			a.until(tr, "known to the receiver", func(t transfer.Transfer) bool { return !t.TellPeer })
			b.noLeftovers()
		})
	}
}
