package server

import (
	"crypto/tls"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"jetstream/internal/server/servertest"
)

func TestRenewedCertificateIsReloaded(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	synctest.Test(t, func(t *testing.T) { // for the clock
		var log strings.Builder
		servertest.WriteCertificate(t, certFile, keyFile, "one.example")
		c, err := openCertificate(certFile, keyFile, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		serves := func(name string) {
			t.Helper()
			if _, err := c.get(nil); err != nil {
				t.Fatal(err)
			}
			if got := c.names(); len(got) != 1 || got[0] != name {
				t.Errorf("it serves %v, want %s", got, name)
			}
		}
		serves("one.example")
		servertest.WriteCertificate(t, certFile, keyFile, "renewed.example") // its length tells it apart even within a tick
		serves("one.example")                                                // not looked at yet
		time.Sleep(certificateLook)                                          //nolint:forbidigo // the bubble's clock
		serves("renewed.example")

		if err := os.WriteFile(certFile, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			time.Sleep(certificateLook) //nolint:forbidigo // the bubble's clock
			serves("renewed.example")
		}
		if n := strings.Count(log.String(), "cannot be used"); n != 1 {
			t.Errorf("the log complains %d times, want once:\n%s", n, log.String())
		}
		servertest.WriteCertificate(t, certFile, keyFile, "third-name.example")
		time.Sleep(certificateLook) //nolint:forbidigo // the bubble's clock
		serves("third-name.example")
	})
	if _, err := openCertificate(certFile, filepath.Join(dir, "none"), slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "TLSKey") {
		t.Errorf("a missing key: %v", err)
	}
}

// TestOldTLSNeedsAuthenticatedEncryption: each suite of TLS 1.2 that Go knows is
// offered alone.
func TestOldTLSNeedsAuthenticatedEncryption(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	servertest.WriteCertificate(t, certFile, keyFile, "one.example")
	c, err := openCertificate(certFile, keyFile, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	secured := c.listener(ln)
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			conn, err := secured.Accept()
			if err != nil {
				return
			}
			_ = conn.(*tls.Conn).HandshakeContext(t.Context()) // the client looks at the outcome
			_ = conn.Close()
		}
	}()
	accepted := 0
	for _, suite := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		if !slices.Contains(suite.SupportedVersions, uint16(tls.VersionTLS12)) {
			continue
		}
		dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite.ID}}}
		conn, err := dialer.DialContext(t.Context(), "tcp", ln.Addr().String())
		if err != nil {
			continue
		}
		_ = conn.Close()
		accepted++
		if !strings.Contains(suite.Name, "_GCM_") && !strings.Contains(suite.Name, "_CHACHA20_") || !strings.Contains(suite.Name, "ECDHE") {
			t.Errorf("%s is accepted", suite.Name)
		}
	}
	if accepted == 0 {
		t.Error("no suite of TLS 1.2 is accepted")
	}
	if err := secured.Close(); err != nil {
		t.Error(err)
	}
	<-served
}
