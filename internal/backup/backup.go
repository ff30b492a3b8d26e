// Package backup writes backups of a server's state directory, restores them, and gives
// a server another identity.
//
// A backup is a tar file: manifest.json, which has the sizes and checksums of what
// follows, the key file and the database. It is written by the process that wants it,
// which reads the database beside the server: no server writes to a path that a client
// names, and none gives out its key.
package backup

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"jetstream/internal/store"
	"jetstream/internal/transfer/wire"
)

// format is the version of the format of backups.
const format = 1

const manifestFile = "manifest.json"

// Manifest says what a backup holds.
type Manifest struct {
	Format int `json:"format"`
	// Version is that of the program that wrote the backup, Schema that of the database.
	Version string    `json:"version"`
	Schema  int       `json:"schema"`
	Time    time.Time `json:"time"`
	// Host is the machine, RecvPort the receive port of the server that was running, 0 if
	// none was.
	Host      string `json:"host"`
	RecvPort  int    `json:"recvPort"`
	PublicKey string `json:"publicKey"`
	Files     []File `json:"files"`
}

// File is a file in a backup.
type File struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Options say what is backed up.
type Options struct {
	// StateDir is the state directory; a server may run on it.
	StateDir string
	// WorkDir is a directory of the caller's own, with room for two copies of the
	// database; what is left in it can be removed.
	WorkDir string
	// Version, Host and RecvPort are those of Manifest.
	Version, Host string
	RecvPort      int
}

// Write writes a backup to w.
func Write(ctx context.Context, o Options, w io.Writer) (Manifest, error) {
	key, err := readKey(o.StateDir)
	if err != nil {
		return Manifest{}, err
	}
	identity, err := wire.ParseKey("the key file", key)
	if err != nil {
		return Manifest{}, err
	}
	m := Manifest{Format: format, Version: o.Version, Time: time.Now().UTC().Truncate(time.Second), Host: o.Host, RecvPort: o.RecvPort, PublicKey: identity.PublicKey()}
	path, schema, err := store.Copy(ctx, o.StateDir, o.WorkDir)
	if err != nil {
		return m, err
	}
	m.Schema = schema
	if again, err := readKey(o.StateDir); err != nil || !bytes.Equal(key, again) {
		return m, errors.Join(err, errors.New("the identity of the server was changed during the backup; run it again"))
	}
	db, err := os.Open(path)
	if err != nil {
		return m, err
	}
	defer db.Close()
	sum := sha256.New()
	size, err := io.Copy(sum, reader{ctx, db})
	if err != nil {
		return m, err
	}
	if _, err := db.Seek(0, io.SeekStart); err != nil {
		return m, err
	}
	m.Files = []File{
		fileOf(wire.IdentityFile, key),
		{store.File, size, hex.EncodeToString(sum.Sum(nil))},
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return m, err
	}
	text = append(text, '\n')
	out := tar.NewWriter(w)
	for _, f := range []struct {
		name string
		size int64
		from io.Reader
	}{
		{manifestFile, int64(len(text)), bytes.NewReader(text)},
		{wire.IdentityFile, int64(len(key)), bytes.NewReader(key)},
		{store.File, size, reader{ctx, db}},
	} {
		if err := out.WriteHeader(&tar.Header{Name: f.name, Size: f.size, Mode: 0o600, ModTime: m.Time}); err != nil {
			return m, err
		}
		if _, err := io.Copy(out, f.from); err != nil {
			return m, err
		}
	}
	return m, out.Close()
}

func fileOf(name string, text []byte) File {
	sum := sha256.Sum256(text)
	return File{name, int64(len(text)), hex.EncodeToString(sum[:])}
}

// errNoState is the error of a directory that is no state directory.
func errNoState(dir string) error {
	return fmt.Errorf("%s is no state directory of a server (it holds no %s): name it with --persistent-state-dir", dir, wire.IdentityFile)
}

func readKey(dir string) ([]byte, error) {
	key, err := wire.ReadKeyFile(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNoState(dir)
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("state directory %s cannot be read (permission denied); run as its owner or root", dir)
	}
	return key, err
}

// reader reads until ctx ends.
type reader struct {
	ctx context.Context
	io.Reader
}

// Read implements io.Reader.
func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}

// create makes a file that belongs to the owner of the state directory.
func create(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err := store.GiveToOwner(f, filepath.Dir(path)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
