package backup

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"jetstream/internal/store"
	"jetstream/internal/transfer/wire"
)

// maxManifest is how many bytes manifest.json may have.
const maxManifest = 64 << 10

// databaseHead is how every database of SQLite begins.
const databaseHead = "SQLite format 3\x00"

var (
	errNoBackup = errors.New("it is no backup of JetStream")
	errCutOff   = errors.New("it is cut off: it ends before its end")
)

// unpack writes what a backup holds into directory dir and compares it with the
// checksums. A database alone, as it is kept before an upgrade, is a backup without
// key; its manifest is empty.
func unpack(ctx context.Context, from io.Reader, dir string) (m Manifest, err error) {
	r := bufio.NewReader(reader{ctx, from})
	if head, err := r.Peek(len(databaseHead)); err == nil && string(head) == databaseHead {
		_, err := write(filepath.Join(dir, store.File), r)
		return m, err
	}
	in := tar.NewReader(r)
	header, err := in.Next()
	if err != nil || header.Name != manifestFile || header.Size > maxManifest {
		return m, cause(ctx, errNoBackup)
	}
	text, err := io.ReadAll(in)
	if err != nil {
		return m, cutOff(ctx, err)
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return m, errNoBackup
	}
	if m.Format != format {
		return m, fmt.Errorf("it has format %d and this version knows %d: restore it with JetStream %s or a later version", m.Format, format, m.Version)
	}
	if len(m.Files) != 2 || m.Files[0].Name != wire.IdentityFile || m.Files[0].Size > wire.MaxKeyFile || m.Files[1].Name != store.File {
		return m, errNoBackup
	}
	for _, f := range m.Files {
		header, err := in.Next()
		if err != nil {
			return m, cutOff(ctx, err)
		}
		if header.Name != f.Name || header.Size != f.Size || header.Typeflag != tar.TypeReg {
			return m, fmt.Errorf("it is damaged: its %s is not what %s says", f.Name, manifestFile)
		}
		sum, err := write(filepath.Join(dir, f.Name), in)
		if err != nil {
			return m, cutOff(ctx, err)
		}
		if sum != f.SHA256 {
			return m, fmt.Errorf("it is damaged: its %s has another checksum than %s says", f.Name, manifestFile)
		}
	}
	if _, err := in.Next(); !errors.Is(err, io.EOF) {
		return m, cutOff(ctx, err)
	}
	return m, nil
}

// cause is why ctx ended, or err.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// cutOff explains an error of reading the tar file or of writing what it holds.
func cutOff(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil, errors.Is(err, tar.ErrHeader):
		return errors.New("it is damaged: more follows than its files")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errCutOff
	}
	return err
}

// write makes a file of what r holds, and returns its checksum.
func write(path string, r io.Reader) (sum string, err error) {
	f, err := create(path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	hash := sha256.New()
	if _, err := io.Copy(io.MultiWriter(f, hash), r); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), f.Sync()
}

// putFile makes or replaces a file in one step; it is on disk then.
func putFile(path string, text []byte) error {
	part := path + ".new"
	if err := removeIfThere(part); err != nil {
		return err
	}
	if _, err := write(part, bytes.NewReader(text)); err != nil {
		return err
	}
	return errors.Join(os.Rename(part, path), wire.SyncDir(filepath.Dir(path)))
}
