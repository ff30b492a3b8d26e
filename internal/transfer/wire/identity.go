package wire

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// IdentityFile is the name of the key file in the state directory.
const IdentityFile = "identity.key"

// ALPN is the name of the protocol in the TLS handshake. It would only change
// together with the format of Hello.
const ALPN = "jetstream/1"

const pemType = "PRIVATE KEY"

// Identity is the Ed25519 key of this server. It is immutable and safe for
// concurrent use.
type Identity struct {
	key  ed25519.PrivateKey
	cert tls.Certificate
	seal [32]byte
}

// LoadIdentity reads the key from the state directory dir. It makes one if
// there is none. It refuses a file that other users may read.
func LoadIdentity(dir string) (*Identity, error) {
	path := filepath.Join(dir, IdentityFile)
	key, err := readKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeKey(dir, path); err != nil {
			return nil, fmt.Errorf("make identity: %w", err)
		}
		key, err = readKey(path)
	}
	if err != nil {
		return nil, err
	}
	return newIdentity(key)
}

// makeKey writes a new key to a temporary file and links that to path, so that
// after a crash there is a whole key or none, and two processes use the same.
func makeKey(dir, path string) error {
	text, err := NewKey()
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, IdentityFile+".*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		// The file system has no hard links.
		if err := os.Rename(f.Name(), path); err != nil {
			return err
		}
	}
	return SyncDir(dir)
}

// NewKey makes a key, as the text of a key file.
func NewKey() ([]byte, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der}), nil
}

// MaxKeyFile is how many bytes a key file may have.
const MaxKeyFile = 4096

// ReadKeyFile returns the text of the key file of state directory dir. It refuses a file
// that other users may read.
func ReadKeyFile(dir string) ([]byte, error) { return readKeyFile(filepath.Join(dir, IdentityFile)) }

func readKeyFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if err := checkPrivate(path, info); err != nil {
		return nil, err
	}
	text := make([]byte, MaxKeyFile)
	n, err := f.Read(text)
	if err != nil {
		return nil, fmt.Errorf("the key file %s cannot be read or is empty; put back a copy of it: %w", path, err)
	}
	return text[:n], nil
}

func readKey(path string) (ed25519.PrivateKey, error) {
	text, err := readKeyFile(path)
	if err != nil {
		return nil, err
	}
	return parseKey("the key file "+path, text)
}

// ParseKey returns the identity of a key file's text. what says in errors what that is.
func ParseKey(what string, text []byte) (*Identity, error) {
	key, err := parseKey(what, text)
	if err != nil {
		return nil, err
	}
	return newIdentity(key)
}

func parseKey(what string, text []byte) (ed25519.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != pemType {
		return nil, fmt.Errorf("%s holds no PEM private key; put back a copy of it, or remove it to become a new server that every peer must accept anew", what)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s holds no PKCS#8 key: %w", what, err)
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s holds a %T, not an Ed25519 key", what, parsed)
	}
	return key, nil
}

func newIdentity(key ed25519.PrivateKey) (*Identity, error) {
	seal, err := hkdf.Key(sha256.New, key.Seed(), nil, "jetstream seal key 1", 32)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "jetstream"},
		// The times are not checked, since peers pin the key.
		NotBefore: time.Unix(0, 0),
		NotAfter:  time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC),
		KeyUsage:  x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make certificate: %w", err)
	}
	id := &Identity{key: key, cert: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}}
	copy(id.seal[:], seal)
	return id, nil
}

// PublicKey returns the public key by which peers know this server: 32 bytes in
// base64url without padding.
func (id *Identity) PublicKey() string {
	return EncodeKey(id.key.Public().(ed25519.PublicKey))
}

// SealKey returns the key for secrets in the database of this server. It is
// derived from the identity, which cannot be computed from it.
func (id *Identity) SealKey() [32]byte { return id.seal }

// EncodeKey encodes a public key as in the API.
func EncodeKey(key ed25519.PublicKey) string { return base64.RawURLEncoding.EncodeToString(key) }

// ValidKey reports whether s has the form of a public key.
func ValidKey(s string) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil && len(b) == ed25519.PublicKeySize
}

// KeyChangedError reports that a server has another public key than the pinned
// one.
type KeyChangedError struct{ Pinned, Presented string }

func (e *KeyChangedError) Error() string {
	return fmt.Sprintf("the public key %s is not the pinned %s", e.Presented, e.Pinned)
}

// ServerTLS returns the TLS configuration of the accepting end. Clients with
// any Ed25519 key may connect; login and ticket decide what they may do.
func (id *Identity) ServerTLS() *tls.Config {
	c := id.config("")
	c.ClientAuth = tls.RequireAnyClientCert
	return c
}

// ClientTLS returns the TLS configuration of the dialling end. The peer must
// have the public key pinned, or any if that is empty.
func (id *Identity) ClientTLS(pinned string) *tls.Config {
	c := id.config(pinned)
	// There is no certificate authority: VerifyConnection compares the key, of
	// which the handshake verifies that the peer has it.
	c.InsecureSkipVerify = true
	return c
}

func (id *Identity) config(pinned string) *tls.Config {
	return &tls.Config{
		Certificates:           []tls.Certificate{id.cert},
		MinVersion:             tls.VersionTLS13,
		NextProtos:             []string{ALPN},
		SessionTicketsDisabled: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			key, err := peerKey(state)
			if err != nil {
				return err
			}
			if state.NegotiatedProtocol != ALPN {
				return errors.New("the peer does not speak the protocol " + ALPN)
			}
			if pinned != "" && subtle.ConstantTimeCompare([]byte(key), []byte(pinned)) != 1 {
				return &KeyChangedError{Pinned: pinned, Presented: key}
			}
			return nil
		},
	}
}

func peerKey(state tls.ConnectionState) (string, error) {
	if len(state.PeerCertificates) == 0 {
		return "", errors.New("the peer showed no certificate")
	}
	key, ok := state.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
	if !ok {
		return "", errors.New("the peer's key is not an Ed25519 key")
	}
	return EncodeKey(key), nil
}
