package backup

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"jetstream/internal/store"
	"jetstream/internal/transfer/wire"
)

// unpackDir is the directory in the state directory that a backup is unpacked into.
const unpackDir = "restore.new"

// stamp is the form of a time in the names of what is put aside.
const stamp = "20060102-150405.000"

// RestoreOptions say where a backup goes.
type RestoreOptions struct {
	// StateDir is the state directory. No server may run on it; it is made if it is not
	// there.
	StateDir string
	// Replace moves aside what is in StateDir.
	Replace bool
}

// Result says what a restore did.
type Result struct {
	// Manifest is that of the backup; without a PublicKey it was a database alone.
	Manifest Manifest
	store.Restored
	// PublicKey is that of the restored server.
	PublicKey string
	// Aside is the directory that has what was in the state directory; empty if nothing
	// was.
	Aside string
}

// Restore makes a state directory of a backup. Until all of it is checked, nothing in
// the directory changes.
func Restore(ctx context.Context, o RestoreOptions, from io.Reader) (r Result, err error) {
	dir := o.StateDir
	if err := store.PrepareDir(dir); err != nil {
		return r, err
	}
	unlock, err := store.Lock(ctx, dir)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	occupied, err := occupied(dir)
	if err != nil {
		return r, err
	}
	if occupied && !o.Replace {
		return r, fmt.Errorf("state directory %s holds a server already: give --replace, which moves that aside, or another --persistent-state-dir", dir)
	}
	fresh := filepath.Join(dir, unpackDir)
	if err := os.RemoveAll(fresh); err != nil {
		return r, err
	}
	if err := store.MakeDir(fresh); err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(fresh)) }()
	if r.Manifest, err = unpack(ctx, from, fresh); err != nil {
		return r, fmt.Errorf("the backup cannot be restored: %w", err)
	}
	if r.PublicKey, err = checkKey(dir, fresh, r.Manifest.PublicKey); err != nil {
		return r, fmt.Errorf("the backup cannot be restored: %w", err)
	}
	if r.Restored, err = store.Restore(ctx, fresh); err != nil {
		return r, fmt.Errorf("the database of the backup cannot be restored: %w", err)
	}
	r.Aside, err = swap(dir, fresh, occupied)
	return r, err
}

// occupied reports whether there is a server's state in dir.
func occupied(dir string) (bool, error) {
	for _, name := range []string{store.File, wire.IdentityFile} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err == nil && info.Size() > 0 {
			return true, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
	}
	return false, nil
}

// checkKey returns the public key of the restored server: that of the key in the backup,
// or, of a database alone, that of the key that is in dir already.
func checkKey(dir, fresh, publicKey string) (string, error) {
	alone := publicKey == ""
	if alone {
		fresh = dir
	}
	text, err := wire.ReadKeyFile(fresh)
	if errors.Is(err, fs.ErrNotExist) && alone {
		return "", fmt.Errorf("it is a database alone, and %s holds no %s, without which it would be another server: restore a whole backup, or put the key file there", dir, wire.IdentityFile)
	}
	if err != nil {
		return "", err
	}
	identity, err := wire.ParseKey("its "+wire.IdentityFile, text)
	if err != nil {
		return "", err
	}
	if !alone && identity.PublicKey() != publicKey {
		return "", fmt.Errorf("it is damaged: the key in it is not that of %s", manifestFile)
	}
	return identity.PublicKey(), nil
}

// swap puts the files of fresh into their places in dir, after those that are there were
// moved aside. It can be interrupted anywhere: as long as store.RestoreDir is there no
// server starts.
func swap(dir, fresh string, occupied bool) (aside string, err error) {
	ready := filepath.Join(dir, store.RestoreDir)
	if err := os.RemoveAll(ready); err != nil {
		return "", err
	}
	if err := errors.Join(wire.SyncDir(fresh), os.Rename(fresh, ready), wire.SyncDir(dir)); err != nil {
		return "", err
	}
	_, err = os.Stat(filepath.Join(ready, wire.IdentityFile))
	withKey := err == nil
	if occupied {
		aside = filepath.Join(dir, "replaced-"+time.Now().Format(stamp))
		if err := store.MakeDir(aside); err != nil {
			return "", err
		}
		names := []string{store.File, store.File + "-wal", store.File + "-shm", "initial-password", "initial-passwords"}
		if withKey {
			names = append(names, wire.IdentityFile)
		}
		for _, name := range names {
			if err := os.Rename(filepath.Join(dir, name), filepath.Join(aside, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return "", err
			}
		}
		if err := wire.SyncDir(aside); err != nil {
			return "", err
		}
	}
	names := []string{store.File}
	if withKey {
		names = append(names, wire.IdentityFile)
	}
	for _, name := range names {
		if err := os.Rename(filepath.Join(ready, name), filepath.Join(dir, name)); err != nil {
			return "", err
		}
	}
	return aside, errors.Join(wire.SyncDir(dir), os.RemoveAll(ready), wire.SyncDir(dir))
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// twinTimeout bounds the search for a twin.
const twinTimeout = 2 * time.Second

// Twin looks whether a server with the identity in state directory dir, on which none
// runs, answers at one of the addresses, and returns that address.
func Twin(ctx context.Context, dir string, addresses []string) (address string, err error) {
	identity, err := wire.LoadIdentity(dir)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, twinTimeout)
	defer cancel()
	dialer := tls.Dialer{Config: identity.ClientTLS(identity.PublicKey())}
	for _, address := range addresses {
		var conn net.Conn
		if conn, err = dialer.DialContext(ctx, "tcp", address); err == nil { // it has the key
			_ = conn.Close()
			return address, nil
		}
	}
	return "", nil
}
