package client_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/client"
)

// certificate is a certificate with its key; issuer nil signs it by itself.
type certificate struct {
	*x509.Certificate
	key *ecdsa.PrivateKey
}

func newCertificate(t *testing.T, issuer *certificate, end time.Time, ca bool, names ...string) *certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: end, DNSNames: names,
		IsCA: ca, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	c := &certificate{Certificate: template, key: key}
	if issuer == nil {
		issuer = c
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer.Certificate, &key.PublicKey, issuer.key)
	if err != nil {
		t.Fatal(err)
	}
	if c.Certificate, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return c
}

// file writes the certificate as PEM and returns the file's path.
func (c *certificate) file(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cert.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// serve answers every call under this certificate.
func (c *certificate) serve(t *testing.T) client.Options {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"status":"success","message":"","result":{}}`)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are what is tested
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{c.Raw}, PrivateKey: c.key}}}
	s.StartTLS()
	t.Cleanup(s.Close)
	return optionsOf(t, s.URL)
}

func TestCAFileSaysWhichServersAreTrusted(t *testing.T) {
	later, before := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	const elsewhere = "media.example.org"
	own := newCertificate(t, nil, later, false, elsewhere)
	ca := newCertificate(t, nil, later, true, "ca.example.org")
	signed := newCertificate(t, ca, later, false, elsewhere)
	localhost := newCertificate(t, ca, later, false, "localhost")
	expired := newCertificate(t, nil, before, false, elsewhere)
	tests := []struct {
		name  string
		shown *certificate
		ca    *certificate
		host  string // 127.0.0.1 when empty
		says  string // empty: trusted
	}{
		{name: "this very certificate under another name", shown: own, ca: own},
		{name: "this very certificate, issued by a CA that nobody named", shown: signed, ca: signed},
		{name: "the CA, and a certificate for the name", shown: localhost, ca: ca, host: "localhost"},
		{name: "the CA, and a certificate for another name", shown: signed, ca: ca, says: "not for the name 127.0.0.1"},
		{name: "another certificate for the same name", shown: newCertificate(t, nil, later, false, elsewhere), ca: own, says: "not trusted"},
		{name: "this very certificate, expired", shown: expired, ca: expired, says: "has expired"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := tt.shown.serve(t)
			o.CAFile = tt.ca.file(t)
			if tt.host != "" {
				if _, err := net.LookupHost(tt.host); err != nil {
					t.Skipf("this machine does not know %s: %v", tt.host, err)
				}
				o.Host = tt.host
			}
			_, err := open(t, o).Call(t.Context(), "getServerInfo", nil)
			if tt.says == "" {
				if err != nil {
					t.Errorf("not trusted: %v", err)
				}
				return
			}
			if e := codeOf(t, err); e.Code != api.CodeUnavailable || !strings.Contains(e.Message, tt.says) {
				t.Errorf("got %s %q, want it to say %q", e.Code, e.Message, tt.says)
			}
		})
	}
}
