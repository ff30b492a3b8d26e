package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// certificateYears is how long a certificate that setup makes is valid. Clients
// trust it by the file, so that it need not be short.
const certificateYears = 10

// certificate makes the certificate of the API and its key, if the configuration
// names those of setup and they are not there.
func (s *setup) certificate() error {
	if s.conf.TLSCert != s.certFile() || s.conf.TLSKey != s.keyFile() {
		return nil
	}
	_, certErr := os.Lstat(s.certFile())
	_, keyErr := os.Lstat(s.keyFile())
	if certErr == nil && keyErr == nil {
		return s.sayCertificate("stands")
	}
	if certErr == nil || errors.Is(certErr, fs.ErrPermission) {
		return fmt.Errorf("the certificate %s is there and its key %s is not: put the key back, or remove the certificate", s.certFile(), s.keyFile())
	}
	cert, key, err := selfSigned(s.conf.ExternalAddress)
	if err != nil {
		return err
	}
	if err := s.owner.makeDir(filepath.Dir(s.config), 0o750, true); err != nil {
		return err
	}
	// A key without a certificate is replaced: an earlier setup ended in between.
	if err := s.owner.replaceFile(s.keyFile(), key, 0o640, true); err != nil {
		return err
	}
	if err := s.owner.writeFile(s.certFile(), cert, 0o644, true); err != nil {
		return err
	}
	return s.sayCertificate("was made")
}

// selfSigned makes a certificate for this machine and its key, PEM.
func selfSigned(address string) (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "JetStream"},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(certificateYears, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
	}
	names := []string{address}
	if host, err := os.Hostname(); err == nil && host != address {
		names = append(names, host)
	}
	for _, name := range names {
		if ip := net.ParseIP(strings.Trim(name, "[]")); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else if name != "" && name != "localhost" {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return nil, nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), err
}

// sayCertificate prints the fingerprint as openssl x509 -fingerprint -sha256 does.
func (s *setup) sayCertificate(what string) error {
	text, err := os.ReadFile(s.certFile())
	if err != nil {
		return err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return fmt.Errorf("%s holds no PEM certificate", s.certFile())
	}
	sum := sha256.Sum256(block.Bytes)
	fingerprint := strings.ReplaceAll(fmt.Sprintf("% X", sum[:]), " ", ":")
	if err := s.say("certificate", "%s %s; give it to those who call the API, as --ca FILE", s.certFile(), what); err != nil {
		return err
	}
	return s.say("", "SHA-256 %s", fingerprint)
}
