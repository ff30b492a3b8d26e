package wire

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func identity(t testing.TB) *Identity {
	t.Helper()
	id, err := LoadIdentity(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestIdentityIsKept(t *testing.T) {
	dir := t.TempDir()
	first, err := LoadIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := LoadIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	if first.PublicKey() != again.PublicKey() || first.SealKey() != again.SealKey() {
		t.Error("a restart changed the identity")
	}
	other := identity(t)
	if other.PublicKey() == first.PublicKey() || other.SealKey() == first.SealKey() || first.SealKey() == [32]byte{} {
		t.Error("two servers share a key")
	}
	if !ValidKey(first.PublicKey()) || ValidKey("abc") || ValidKey(first.PublicKey()+"=") {
		t.Error("ValidKey is wrong")
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("the directory holds %v", left)
	}
	if runtime.GOOS != "windows" {
		info, err := os.Stat(filepath.Join(dir, IdentityFile))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v (%v), want 0600", info.Mode(), err)
		}
	}
}

func TestConcurrentStartsAgreeOnOneKey(t *testing.T) {
	dir := t.TempDir()
	keys := make([]string, 8)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			if id, err := LoadIdentity(dir); err != nil {
				t.Error(err)
			} else {
				keys[i] = id.PublicKey()
			}
		})
	}
	wg.Wait()
	for _, k := range keys {
		if k != keys[0] {
			t.Fatalf("keys differ: %v", keys)
		}
	}
}

func TestBadKeyFilesAreRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes do not say who may read a file on Windows")
	}
	for want, spoil := range map[string]func(path string) error{
		"chmod 600":     func(path string) error { return os.Chmod(path, 0o640) },
		"no PEM":        func(path string) error { return os.WriteFile(path, []byte("garbage"), 0o600) },
		"is empty":      func(path string) error { return os.Truncate(path, 0) },
		"not a regular": func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
	} {
		dir := t.TempDir()
		if _, err := LoadIdentity(dir); err != nil {
			t.Fatal(err)
		}
		if err := spoil(filepath.Join(dir, IdentityFile)); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadIdentity(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want ...%s...", err, want)
		}
	}
}

var v1 = Hello{MinVersion: 1, MaxVersion: 1, ServerUID: "uid", Software: "test 1"}

// pair returns both ends of a connection on loopback.
func pair(t *testing.T, pinned string, client, server Hello) (c, s *Conn, serverKey string, cErr, sErr error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	cid, sid := identity(t), identity(t)
	if pinned == "right" {
		pinned = sid.PublicKey()
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		nc, err := ln.Accept()
		if err != nil {
			sErr = err
			return
		}
		s, sErr = Server(t.Context(), nc, sid, server)
	})
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c, cErr = Client(t.Context(), nc, cid, pinned, client)
	wg.Wait()
	for _, conn := range []*Conn{c, s} {
		if conn != nil {
			t.Cleanup(conn.Abort)
		}
	}
	if c != nil && s != nil && (s.PeerKey() != cid.PublicKey() || c.PeerKey() != sid.PublicKey()) {
		t.Error("the peers' keys are wrong")
	}
	return c, s, sid.PublicKey(), cErr, sErr
}

func TestOtherKeyThanThePinnedIsRefused(t *testing.T) {
	if _, _, _, cErr, sErr := pair(t, "right", v1, v1); cErr != nil || sErr != nil {
		t.Fatalf("with the right key: %v, %v", cErr, sErr)
	}
	wrong := identity(t).PublicKey()
	_, _, key, cErr, sErr := pair(t, wrong, v1, v1)
	changed, ok := errors.AsType[*KeyChangedError](cErr)
	if !ok || changed.Pinned != wrong || changed.Presented != key || sErr == nil {
		t.Errorf("with another key: %v, %v", cErr, sErr)
	}
}

func TestHighestCommonVersionIsUsed(t *testing.T) {
	newer := Hello{MinVersion: 1, MaxVersion: 3, Software: "test 3"}
	c, s, _, cErr, sErr := pair(t, "", v1, newer)
	if cErr != nil || sErr != nil || c.Version() != 1 || s.Version() != 1 || s.Peer() != v1 {
		t.Errorf("1 with 1..3: %v, %v", cErr, sErr)
	}
	newest := Hello{MinVersion: 2, MaxVersion: 3, Software: "test 3\nforged line"}
	_, _, _, cErr, sErr = pair(t, "", v1, newest)
	for _, err := range []error{cErr, sErr} {
		if _, ok := errors.AsType[*VersionError](err); !ok || !strings.Contains(err.Error(), "version 1") ||
			!strings.Contains(err.Error(), "2 to 3") || !strings.Contains(err.Error(), "update the older") {
			t.Errorf("without a common version: %v", err)
		}
	}
	if strings.Contains(cErr.Error(), "\n") {
		t.Errorf("the peer's text breaks the line: %q", cErr)
	}
}

// Peers with an older version of TLS, without certificate or with another type
// of key are refused.
func TestOtherPeersAreRefused(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	good := identity(t).ClientTLS("")
	for name, change := range map[string]func(*tls.Config){
		"TLS 1.2":        func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 },
		"no certificate": func(c *tls.Config) { c.Certificates = nil },
		"no protocol":    func(c *tls.Config) { c.NextProtos, c.VerifyConnection = nil, nil },
		"other protocol": func(c *tls.Config) { c.NextProtos = []string{"h2"} },
		"an ECDSA key": func(c *tls.Config) {
			c.Certificates = []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}
		},
	} {
		config := good.Clone()
		change(config)
		a, b := net.Pipe()
		done := make(chan error, 1)
		go func() { _, err := Server(t.Context(), b, identity(t), v1); done <- err }()
		_ = tls.Client(a, config).HandshakeContext(t.Context())
		_ = a.SetDeadline(time.Now().Add(-time.Second))
		_ = a.Close()
		if err := <-done; err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestFramesArriveUnchanged(t *testing.T) {
	c, s, _, cErr, sErr := pair(t, "", v1, v1)
	if cErr != nil || sErr != nil {
		t.Fatal(cErr, sErr)
	}
	data := bytes.Repeat([]byte("x"), MaxData)
	go func() {
		frames := AppendFrame(nil, Header{Type: TypePing}, nil)
		frames = AppendFrame(frames, Header{Type: TypeData, Index: 7, Offset: 9}, data)
		_ = c.WriteFrames(frames, nil)
		_ = c.Send(TypeEnd, struct{}{})
		_ = c.Close()
	}()
	h, payload, err := s.Read()
	if err != nil || h.Type != TypeData || h.Index != 7 || h.Offset != 9 || !bytes.Equal(payload, data) || h.Check(payload) != nil {
		t.Fatalf("frame %+v (%v)", h, err)
	}
	payload[5]++
	if _, ok := errors.AsType[*ErrCorrupt](h.Check(payload)); !ok {
		t.Error("a changed byte passed the checksum")
	}
	if h, _, err := s.Read(); err != nil || h.Type != TypeEnd {
		t.Fatalf("frame %+v (%v)", h, err)
	}
	if _, _, err := s.Read(); err == nil {
		t.Error("reading goes on after the end")
	}
}

func TestNamesKeepTheirBytes(t *testing.T) {
	for _, name := range []Name{"", "/plain", "/é \"quoted\"\n\t", "/\xff\xfe bad", "/\x00", `/{"base64":"x"}`} {
		b, err := json.Marshal(Entry{Name: name})
		var back Entry
		if err == nil {
			err = json.Unmarshal(b, &back)
		}
		if err != nil || back.Name != name {
			t.Errorf("%q became %q (%v)", name, back.Name, err)
		}
	}
	var h Hello
	if err := Decode([]byte(`{"minVersion":1,"fromTheFuture":{"x":[1]}}`), &h); err != nil || h.MinVersion != 1 {
		t.Errorf("a field of the future: %v", err)
	}
}

func FuzzReadFrame(f *testing.F) {
	f.Add(AppendFrame(nil, Header{Type: TypeData, Index: 1, Offset: 2}, []byte("data")))
	f.Add(AppendFrame(nil, Header{Type: TypePing}, nil))
	f.Add(AppendFrame(nil, Header{Type: TypeOpen}, []byte(`{"transferId":"x"}`))[:40])
	huge := AppendFrame(nil, Header{Type: TypeData}, nil)
	copy(huge[4:], []byte{0xff, 0xff, 0xff, 0xff})
	f.Add(huge)
	f.Fuzz(func(t *testing.T, b []byte) {
		h, payload, err := ReadFrame(bytes.NewReader(b), nil)
		if err != nil {
			return
		}
		limit, known := h.Type.limit()
		if !known || len(payload) > limit || len(payload) != h.Length || h.Index < 0 || h.Offset < 0 {
			t.Fatalf("a frame broke the limits: %+v", h)
		}
		again := AppendFrame(nil, h, payload)
		if h.Check(payload) == nil && !bytes.Equal(again, b[:len(again)]) {
			t.Fatalf("%x was read as %x", b, again)
		}
	})
}

func FuzzName(f *testing.F) {
	f.Add("/a")
	f.Add("\xff")
	f.Fuzz(func(t *testing.T, s string) {
		b, err := json.Marshal(Name(s))
		var back Name
		if err == nil {
			err = json.Unmarshal(b, &back)
		}
		if err != nil || string(back) != s {
			t.Fatalf("%q became %q (%v)", s, back, err)
		}
	})
}
