package server

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"
)

// certificateLook is the shortest interval between checks of the certificate files.
const certificateLook = 5 * time.Second

// certificate is the control API's certificate. Its files are checked for changes
// when a client connects and reloaded without a restart. Safe for concurrent use.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	mu     sync.Mutex
	pair   *tls.Certificate
	stamp  [2]fileStamp
	looked time.Time
}

// fileStamp identifies a version of a file.
type fileStamp struct {
	modified time.Time
	size     int64
}

// openCertificate loads the certificate from its files.
func openCertificate(certFile, keyFile string, log *slog.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log}
	stamp, err := c.stamps()
	if err == nil {
		err = c.load(stamp)
	}
	if err != nil {
		return nil, optionErrorf("the certificate cannot be used: %v; see %s and %s", err, option("TLSCert"), option("TLSKey"))
	}
	return c, nil
}

func (c *certificate) stamps() (stamp [2]fileStamp, err error) {
	for i, name := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return stamp, err
		}
		stamp[i] = fileStamp{info.ModTime(), info.Size()}
	}
	return stamp, nil
}

func (c *certificate) load(stamp [2]fileStamp) error {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return err
	}
	c.pair, c.stamp, c.looked = &pair, stamp, time.Now()
	return nil
}

// get returns the current certificate. If changed files cannot be loaded, as when
// only one of the two has been renewed yet, it keeps the previous certificate and
// logs the error once for each version of the files.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) < certificateLook {
		return c.pair, nil
	}
	c.looked = time.Now()
	stamp, err := c.stamps()
	if err == nil && stamp == c.stamp {
		return c.pair, nil
	}
	if err == nil {
		err = c.load(stamp)
	}
	if err != nil {
		c.stamp = stamp
		c.log.Warn("the renewed certificate cannot be used; the former one stays", "file", c.certFile, "error", err)
		return c.pair, nil
	}
	c.log.Info("the renewed certificate is in use", "file", c.certFile)
	return c.pair, nil
}

// renew loads the certificate's files anew. The certificate is in use once install is called.
func (c *certificate) renew() (install func(), err error) {
	stamp, err := c.stamps()
	if err != nil {
		return nil, err
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return nil, err
	}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.pair, c.stamp, c.looked = &pair, stamp, time.Now()
	}, nil
}

// names returns the host names that the certificate is valid for.
func (c *certificate) names() []string {
	leaf, err := x509.ParseCertificate(c.pair.Certificate[0])
	if err != nil {
		return nil
	}
	return leaf.DNSNames
}

// expires returns when the certificate expires.
func (c *certificate) expires() (time.Time, error) {
	pair, err := c.get(nil)
	if err != nil {
		return time.Time{}, err
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return time.Time{}, err
	}
	return leaf.NotAfter, nil
}

// listener wraps the API's listener with TLS.
func (c *certificate) listener(ln net.Listener) net.Listener {
	return tls.NewListener(ln, &tls.Config{
		GetCertificate: c.get, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		CipherSuites: []uint16{ // of TLS 1.2: forward secrecy and authenticated encryption
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
	})
}
