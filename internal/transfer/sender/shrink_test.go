package sender_test

import (
	"math/rand/v2"
	"path/filepath"
	"testing"

	"jetstream/internal/transfertest"
)

// text returns n bytes of which compression leaves less than a third.
func text(n int) []byte {
	r := rand.New(rand.NewPCG(3, 4))
	words := make([][]byte, 500)
	for i := range words {
		words[i] = random(6 + i%7)
		for j := range words[i] {
			words[i][j] = 'a' + words[i][j]%26
		}
	}
	b := make([]byte, 0, n+16)
	for len(b) < n {
		b = append(append(b, words[r.IntN(len(words))]...), ' ')
	}
	return b[:n]
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n), byte(n >> 8)}).Read(b)
	return b
}

// TestOnlyWhatGetsSmallerIsCompressed counts the bytes that cross a slow link.
func TestOnlyWhatGetsSmallerIsCompressed(t *testing.T) {
	t.Parallel()
	const size = 900_000
	mixed := append(append(text(300_000), random(200_000)...), text(400_000)...)
	for name, c := range map[string]struct {
		content     []byte
		compression string
		least, most int64 // bytes on the wire
		saves       bool
	}{
		"text":                  {text(size), "auto", 50_000, size / 2, true},
		"text, not compressed":  {text(size), "none", size, 3 * size, false},
		"random bytes":          {random(size), "auto", size, 3 * size, false},
		"text, random and text": {mixed, "auto", 250_000, size * 2 / 3, true},
		"text by default":       {text(size), "", 50_000, size / 2, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := newSite(t), newSite(t)
			proxy := newCutter(t, b.Address, 0, 0)
			a.limit(&site{Site: &transfertest.Site{Address: proxy.ln.Addr().String()}}, 9_000)
			a.put("src/file", c.content)
			tr := a.send(b, job{to: proxy.ln.Addr().String(), compression: c.compression})
			complete(t, a, b, tr)
			same(t, filepath.Join(a.Sandbox, "src"), filepath.Join(b.Sandbox, "src"))
			tr = a.wait(tr)
			a.Stop() // all connections are closed and counted
			_ = proxy.ln.Close()
			proxy.wg.Wait()
			if proxy.carried < c.least || proxy.carried > c.most {
				t.Errorf("%d bytes were sent for %d, want %d to %d", proxy.carried, size, c.least, c.most)
			}
			if want := max(0, size-proxy.carried); (tr.BytesSaved > 0) != c.saves || c.saves && tr.BytesSaved < want {
				t.Errorf("%d bytes were saved, want %d", tr.BytesSaved, want)
			}
		})
	}
}

// TestBrokenLanesSendCompressedChunksAgain cuts lanes, each after more than a
// compressed piece.
func TestBrokenLanesSendCompressedChunksAgain(t *testing.T) {
	t.Parallel()
	a, b := newSite(t), newSite(t)
	const size = 6 << 20
	proxy := newCutter(t, b.Address, 400_000, 30)
	a.limit(&site{Site: &transfertest.Site{Address: proxy.ln.Addr().String()}}, 9_000)
	a.put("src/file", text(size))
	complete(t, a, b, a.send(b, job{to: proxy.ln.Addr().String()}))
	same(t, filepath.Join(a.Sandbox, "src"), filepath.Join(b.Sandbox, "src"))
	a.Stop()
	_ = proxy.ln.Close()
	proxy.wg.Wait()
	if proxy.cuts == 0 {
		t.Error("no lane was cut")
	}
	if proxy.carried > size*3/4 {
		t.Errorf("%d bytes were sent for %d", proxy.carried, size)
	}
}
