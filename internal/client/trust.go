package client

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"slices"

	"jetstream/internal/api"
)

// trust makes config trust only the certificates in the PEM file, for a server
// called host. A server that presents one of these very certificates is trusted
// under any name, since the file pins it: its own scripts call it by 127.0.0.1, a
// name that few certificates carry. Every other certificate must be valid for
// host and chain to one in the file.
func trust(config *tls.Config, file, host string) error {
	pool, pinned, err := readCA(file)
	if err != nil {
		return err
	}
	config.RootCAs = pool
	config.InsecureSkipVerify = true // VerifyConnection does it all
	config.VerifyConnection = func(state tls.ConnectionState) error {
		if len(state.PeerCertificates) == 0 {
			return errors.New("the server showed no certificate")
		}
		shown, options := state.PeerCertificates[0], x509.VerifyOptions{Roots: pool, Intermediates: x509.NewCertPool()}
		for _, c := range state.PeerCertificates[1:] {
			options.Intermediates.AddCert(c)
		}
		_, err := shown.Verify(options)
		if err == nil && !slices.ContainsFunc(pinned, shown.Equal) {
			err = shown.VerifyHostname(host)
		}
		if err != nil {
			return &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: err}
		}
		return nil
	}
	return nil
}

func readCA(file string) (*x509.CertPool, []*x509.Certificate, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, api.Wrap(err, api.CodeInvalid, "the CA file cannot be read: %v", err)
	}
	pool, all := x509.NewCertPool(), []*x509.Certificate(nil)
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		// One that Go cannot read must not hide the others.
		if c, err := x509.ParseCertificate(block.Bytes); err == nil {
			pool.AddCert(c)
			all = append(all, c)
		}
	}
	if len(all) == 0 {
		return nil, nil, api.Errorf(api.CodeInvalid, "the CA file %s holds no PEM certificate", file)
	}
	return pool, all, nil
}
