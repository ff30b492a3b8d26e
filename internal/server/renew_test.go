package server

import (
	"log/slog"
	"path/filepath"
	"testing"

	"jetstream/internal/server/servertest"
)

// TestRenewedCertificateIsInUseOnceInstalled: a reload whose settings are refused after
// the certificate was read leaves the former one in use.
func TestRenewedCertificateIsInUseOnceInstalled(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	servertest.WriteCertificate(t, cert, key, "former.example")
	c, err := openCertificate(cert, key, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	servertest.WriteCertificate(t, cert, key, "renewed.example")
	install, err := c.renew()
	if err != nil {
		t.Fatal(err)
	}
	if got := c.names(); len(got) != 1 || got[0] != "former.example" {
		t.Errorf("before it is installed it is %v", got)
	}
	install()
	if got := c.names(); len(got) != 1 || got[0] != "renewed.example" {
		t.Errorf("after that it is %v", got)
	}
}
