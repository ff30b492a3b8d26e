package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// writeCertificate makes a self-signed certificate for name.
func writeCertificate(t *testing.T, certFile, keyFile, name string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRenewedCertificateIsTakenUp(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	synctest.Test(t, func(t *testing.T) { // for the clock
		var log strings.Builder
		writeCertificate(t, certFile, keyFile, "one.example")
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
		writeCertificate(t, certFile, keyFile, "renewed.example") // its length tells it apart even within a tick
		serves("one.example")                                     // not looked at yet
		time.Sleep(certificateLook)                               //nolint:forbidigo // the bubble's clock
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
		writeCertificate(t, certFile, keyFile, "third-name.example")
		time.Sleep(certificateLook) //nolint:forbidigo // the bubble's clock
		serves("third-name.example")
	})
	if _, err := openCertificate(certFile, filepath.Join(dir, "none"), slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "--tls-key") {
		t.Errorf("a missing key: %v", err)
	}
}
