package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// platform is a system and a processor as Go names them.
type platform struct{ system, processor string }

func platforms() []platform {
	var all []platform
	for _, system := range []string{"linux", "darwin", "windows"} {
		for _, processor := range []string{"amd64", "arm64"} {
			all = append(all, platform{system, processor})
		}
	}
	return all
}

// entry is a file or directory of an archive or of a layer of the image.
type entry struct {
	name     string // without a slash before it; one behind it makes a directory
	mode     int64
	uid, gid int
	content  []byte
}

// archives makes an archive and an SBOM for each platform.
func (r *release) archives(ctx context.Context) error {
	for _, p := range platforms() {
		binary, err := r.build(ctx, p)
		if err != nil {
			return err
		}
		info, err := readBuild(binary)
		if err != nil {
			return err
		}
		if err := r.pack(ctx, p, info, binary); err != nil {
			return err
		}
	}
	return nil
}

// build returns the static binary for a platform.
func (r *release) build(ctx context.Context, p platform) ([]byte, error) {
	dir, err := os.MkdirTemp("", "snapshot-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, "jetstream")
	// Version and commit are given, so that it matters not how the checkout was made.
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false",
		"-ldflags", "-s -w -X main.version="+r.version+" -X main.commit="+r.commit, "-o", file, "./cmd/jetstream")
	cmd.Dir, cmd.Stdout, cmd.Stderr = r.root, r.stderr, r.stderr
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOAMD64=v1", "GOARM64=v8.0", "GOOS="+p.system, "GOARCH="+p.processor)
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("go build for %s/%s: %w", p.system, p.processor, err)
	}
	return os.ReadFile(file)
}

// pack writes the archive and the SBOM of a binary.
func (r *release) pack(ctx context.Context, p platform, info *debug.BuildInfo, binary []byte) error {
	name := strings.Join([]string{"jetstream", r.version, p.system, p.processor}, "-")
	program := "jetstream"
	if p.system == "windows" {
		program += ".exe"
	}
	licenses, err := r.licenses(ctx, info)
	if err != nil {
		return err
	}
	files := []entry{
		{name: program, mode: 0o755, content: binary},
		{name: "THIRD-PARTY-LICENSES.txt", content: licenses},
	}
	for _, more := range []struct{ dir, pattern string }{
		{"", "LICENSE"}, {"", "README.md"}, {"", "CHANGELOG.md"},
		{"completions", "cmd/jetstream/completion/*"}, {"man", "docs/man/*.[1-9]"},
	} {
		found, err := r.files(more.dir, more.pattern)
		if err != nil {
			return err
		}
		files = append(files, found...)
	}
	for i := range files {
		files[i].name = name + "/" + files[i].name
	}
	bom, err := r.bom(info, p, binary).encode()
	if err != nil {
		return err
	}
	if err := r.write(name+".cdx.json", bom); err != nil {
		return err
	}
	if p.system == "windows" {
		content, err := zipped(files, r.time)
		if err != nil {
			return err
		}
		return r.write(name+".zip", content)
	}
	content, err := tarred(files, r.time)
	if err == nil {
		content, err = gzipped(content)
	}
	if err != nil {
		return err
	}
	return r.write(name+".tar.gz", content)
}

// files reads the files of the checkout that match a pattern, for a directory of an archive.
func (r *release) files(dir, pattern string) ([]entry, error) {
	paths, err := filepath.Glob(filepath.Join(r.root, filepath.FromSlash(pattern)))
	if err != nil {
		return nil, err
	}
	var files []entry
	for _, file := range paths {
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		files = append(files, entry{name: path.Join(dir, filepath.Base(file)), content: content})
	}
	return files, nil
}

func (e entry) dir() bool { return strings.HasSuffix(e.name, "/") }

// sorted orders entries by name and gives those without a mode the usual one.
func sorted(entries []entry) []entry {
	entries = slices.Clone(entries)
	for i, e := range entries {
		if e.mode == 0 && e.dir() {
			entries[i].mode = 0o755
		} else if e.mode == 0 {
			entries[i].mode = 0o644
		}
	}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	return entries
}

func tarred(entries []entry, at time.Time) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range sorted(entries) {
		h := &tar.Header{Name: e.name, Mode: e.mode, Uid: e.uid, Gid: e.gid, Size: int64(len(e.content)), ModTime: at, Typeflag: tar.TypeReg}
		if e.dir() {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(e.content); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return out.Bytes(), err
}

func gzipped(content []byte) ([]byte, error) {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(content); err != nil {
		return nil, err
	}
	err := w.Close()
	return out.Bytes(), err
}

func zipped(entries []entry, at time.Time) ([]byte, error) {
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, e := range sorted(entries) {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate, Modified: at}
		h.SetMode(fs.FileMode(e.mode))
		f, err := w.CreateHeader(h)
		if err != nil {
			return nil, err
		}
		if _, err := f.Write(e.content); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return out.Bytes(), err
}
