package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"
)

// The user of the image, whose id is the same in every version: files in volumes are his.
const (
	imageUser = "jetstream"
	imageID   = 10001
)

// image makes the OCI image of the processor of this machine.
func (r *release) image(ctx context.Context) error {
	p := platform{"linux", runtime.GOARCH}
	system, err := r.debian(ctx)
	if err != nil {
		return err
	}
	binary, err := r.build(ctx, p)
	if err != nil {
		return err
	}
	info, err := readBuild(binary)
	if err != nil {
		return err
	}
	return r.packImage(ctx, p, system, info, binary)
}

// debian returns a tar file of a small Debian: shell, coreutils, CA certificates and apt.
func (r *release) debian(ctx context.Context) ([]byte, error) {
	const program = "mmdebstrap"
	if _, err := exec.LookPath(program); err != nil {
		return nil, errors.New("the image is made by mmdebstrap, and there is none here: apt-get install mmdebstrap, on Debian or Ubuntu")
	}
	dir, err := os.MkdirTemp("", "snapshot-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, "system.tar")
	cmd := exec.CommandContext(ctx, program, "--quiet", "--variant=apt", "--include=ca-certificates",
		"--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*",
		"--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-include=/usr/share/doc/*/copyright",
		// These are copies of the builder's.
		`--customize-hook=rm -f "$1/etc/resolv.conf" "$1/etc/hostname"`,
		r.suite, file)
	cmd.Env = append(cmd.Environ(), fmt.Sprintf("SOURCE_DATE_EPOCH=%d", r.time.Unix()))
	cmd.Stdout, cmd.Stderr = r.stderr, r.stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w (it needs root or unprivileged user namespaces, and a mirror of Debian)", program, err)
	}
	return os.ReadFile(file)
}

// packImage writes the image and its SBOM: the system's layer, and ours above it.
func (r *release) packImage(ctx context.Context, p platform, system []byte, info *debug.BuildInfo, binary []byte) error {
	licenses, err := r.licenses(ctx, info)
	if err != nil {
		return err
	}
	files, err := ourFiles(r.root, system)
	if err != nil {
		return err
	}
	files = append(files,
		entry{name: "usr/local/bin/jetstream", mode: 0o755, content: binary},
		entry{name: "usr/share/doc/jetstream/"},
		entry{name: "usr/share/doc/jetstream/THIRD-PARTY-LICENSES.txt", content: licenses})
	ours, err := tarred(files, r.time)
	if err != nil {
		return err
	}
	content, err := r.layout(p, [][]byte{system, ours})
	if err != nil {
		return err
	}
	b := r.bom(info, p, binary)
	b.Metadata.Component.Type = "container"
	if err := addPackages(b, system); err != nil {
		return err
	}
	encoded, err := b.encode()
	if err != nil {
		return err
	}
	name := "jetstream-" + r.version + "-oci-" + p.processor
	if err := r.write(name+".cdx.json", encoded); err != nil {
		return err
	}
	return r.write(name+".tar", content)
}

// ourFiles returns what our layer has beside the binary: user, directories, configuration.
func ourFiles(root string, system []byte) ([]entry, error) {
	passwd, err := fileIn(system, "etc/passwd")
	if err != nil {
		return nil, err
	}
	group, err := fileIn(system, "etc/group")
	if err != nil {
		return nil, err
	}
	conf, err := os.ReadFile(filepath.Join(root, "packaging", "image.conf"))
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(root, "LICENSE"))
	if err != nil {
		return nil, err
	}
	return []entry{
		{name: "etc/passwd", content: fmt.Appendf(passwd, "%s:x:%d:%d:JetStream:/var/lib/jetstream:/usr/sbin/nologin\n", imageUser, imageID, imageID)},
		{name: "etc/group", content: fmt.Appendf(group, "%s:x:%d:\n", imageUser, imageID)},
		{name: "etc/jetstream/"},
		{name: "etc/jetstream/server.conf", content: conf},
		// Scripts are root's: none can replace another, and all can write log.txt.
		{name: "etc/jetstream/triggers/", mode: 0o1775, gid: imageID},
		{name: "srv/jetstream/", mode: 0o750, uid: imageID, gid: imageID},
		{name: "usr/share/doc/jetstream/LICENSE", content: text},
		{name: "var/lib/jetstream/", mode: 0o750, uid: imageID, gid: imageID},
	}, nil
}

// fileIn returns a file of a tar file.
func fileIn(archive []byte, name string) ([]byte, error) {
	in := tar.NewReader(bytes.NewReader(archive))
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("the system has no %s", name)
		}
		if err != nil {
			return nil, err
		}
		if strings.TrimPrefix(h.Name, "./") == name {
			return io.ReadAll(in)
		}
	}
}

// object is any JSON object.
type object map[string]any

// layout returns the image as an OCI layout in a tar file, which is also what `docker
// save` writes.
func (r *release) layout(p platform, layers [][]byte) ([]byte, error) {
	var files []entry
	blob := func(kind string, content []byte) object {
		sum := fmt.Sprintf("%x", sha256.Sum256(content))
		files = append(files, entry{name: "blobs/sha256/" + sum, content: content})
		return object{"mediaType": kind, "digest": "sha256:" + sum, "size": len(content)}
	}
	document := func(kind string, o any) (object, error) {
		content, err := json.Marshal(o)
		return blob(kind, content), err
	}
	var contents, packed []object
	var ids, names []string
	for _, layer := range layers {
		ids = append(ids, fmt.Sprintf("sha256:%x", sha256.Sum256(layer)))
		content, err := gzipped(layer)
		if err != nil {
			return nil, err
		}
		packed = append(packed, blob("application/vnd.oci.image.layer.v1.tar+gzip", content))
		names = append(names, files[len(files)-1].name)
		contents = append(contents, object{"created": r.time})
	}
	contents[0]["created_by"] = "mmdebstrap " + r.suite
	contents[len(contents)-1]["created_by"] = "jetstream " + r.version
	config, err := document("application/vnd.oci.image.config.v1+json", object{
		"created": r.time, "architecture": p.processor, "os": p.system,
		"config":  r.settings(),
		"rootfs":  object{"type": "layers", "diff_ids": ids},
		"history": contents,
	})
	if err != nil {
		return nil, err
	}
	configFile := files[len(files)-1].name
	manifest, err := document("application/vnd.oci.image.manifest.v1+json", object{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": packed,
	})
	if err != nil {
		return nil, err
	}
	tag := "localhost/jetstream:" + regexp.MustCompile(`[^A-Za-z0-9_.-]`).ReplaceAllString(r.version, "-")
	manifest["annotations"] = object{"org.opencontainers.image.ref.name": tag, "io.containerd.image.name": tag}
	manifest["platform"] = object{"architecture": p.processor, "os": p.system}
	for name, o := range map[string]any{
		"oci-layout": object{"imageLayoutVersion": "1.0.0"},
		"index.json": object{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []object{manifest}},
		// For docker load before version 25.
		"manifest.json": []object{{"Config": configFile, "RepoTags": []string{tag}, "Layers": names}},
	} {
		content, err := json.Marshal(o)
		if err != nil {
			return nil, err
		}
		files = append(files, entry{name: name, content: content})
	}
	files = append(files, entry{name: "blobs/"}, entry{name: "blobs/sha256/"})
	return tarred(files, r.time)
}

// settings are how a container of the image is run.
func (r *release) settings() object {
	const second = 1_000_000_000
	return object{
		"User":         fmt.Sprintf("%d:%d", imageID, imageID),
		"Env":          []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		"Entrypoint":   []string{"/usr/local/bin/jetstream", "server"},
		"WorkingDir":   "/var/lib/jetstream",
		"ExposedPorts": object{"8886/tcp": object{}, "8887/tcp": object{}},
		"Volumes":      object{"/etc/jetstream/triggers": object{}, "/srv/jetstream": object{}, "/var/lib/jetstream": object{}},
		"StopSignal":   "SIGTERM",
		// Docker's extension of the format.
		"Healthcheck": object{"Test": []string{"CMD", "/usr/local/bin/jetstream", "api", "getServerInfo"},
			"Interval": 30 * second, "Timeout": 10 * second, "StartPeriod": 10 * second, "Retries": 3},
		"Labels": object{
			"org.opencontainers.image.title":       "JetStream",
			"org.opencontainers.image.description": "Moves files between sites and runs your scripts on everything that happens",
			"org.opencontainers.image.licenses":    "Apache-2.0",
			"org.opencontainers.image.version":     r.version,
			"org.opencontainers.image.revision":    r.commit,
			"org.opencontainers.image.created":     r.time,
		},
	}
}

// addPackages adds the packages of the system.
func addPackages(b *bom, system []byte) error {
	status, err := fileIn(system, "var/lib/dpkg/status")
	if err != nil {
		return err
	}
	for paragraph := range strings.SplitSeq(strings.TrimSpace(string(status)), "\n\n") {
		fields := map[string]string{}
		for line := range strings.SplitSeq(paragraph, "\n") {
			if name, value, ok := strings.Cut(line, ": "); ok {
				fields[name] = value
			}
		}
		purl := fmt.Sprintf("pkg:deb/debian/%s@%s?arch=%s", urlPart(fields["Package"]), urlPart(fields["Version"]), fields["Architecture"])
		b.add(component{Type: "library", Ref: purl, Name: fields["Package"], Version: fields["Version"], URL: purl})
	}
	return nil
}
