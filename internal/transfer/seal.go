package transfer

import (
	"crypto/rand"

	"golang.org/x/crypto/chacha20poly1305"

	"jetstream/internal/api"
)

// seal encrypts a remote password for the database: XChaCha20-Poly1305 with a
// random nonce in front and the transfer as additional data.
func seal(key [32]byte, transferID, password string) ([]byte, error) {
	aead, err := chacha20poly1305.NewX(key[:])
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, aead.NonceSize(), aead.NonceSize()+len(password)+aead.Overhead())
	_, _ = rand.Read(nonce) // never fails
	return aead.Seal(nonce, nonce, []byte(password), sealContext(transferID)), nil
}

func unseal(key [32]byte, transferID string, sealed []byte) (string, error) {
	aead, err := chacha20poly1305.NewX(key[:])
	if err != nil {
		return "", err
	}
	if len(sealed) < aead.NonceSize() {
		return "", api.Errorf(api.CodeConflict,
			"transfer %s has no password of the receiver's user any more, since a backup holds none: send it again with jetstream transfers retry %s", transferID, transferID)
	}
	n := aead.NonceSize()
	plain, err := aead.Open(nil, sealed[:n], sealed[n:], sealContext(transferID))
	if err != nil {
		return "", api.Wrap(err, api.CodeConflict,
			"the password of transfer %s cannot be read with this server's key file, which is another than that it was saved with: send it again with jetstream transfers retry %s", transferID, transferID)
	}
	return string(plain), nil
}

func sealContext(transferID string) []byte {
	return []byte("jetstream remote password of " + transferID)
}

// Password returns the remote password of a transfer. Codes: conflict when it
// is erased or was encrypted with another key file.
func (e *Engine) Password(t *Transfer) (string, error) {
	return unseal(e.o.SealKey, t.TransferID, t.SealedPassword)
}
