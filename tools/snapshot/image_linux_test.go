package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var imageFile = flag.String("image", "", "image that TestImageRuns runs; see make image-test")

// imageSettings are the settings of an image, as a container engine reads them.
type imageSettings struct {
	User        string
	Env         []string
	Entrypoint  []string
	WorkingDir  string
	Volumes     map[string]struct{}
	StopSignal  string
	Healthcheck struct{ Test []string }
}

// container is the image of a file, run by crun: read-only but for its volumes, without
// privileges, in namespaces of its own.
type container struct {
	t        *testing.T
	ctx      context.Context
	dir      string
	settings imageSettings
	server   *exec.Cmd
	ended    chan struct{}
	result   error // of server, once ended is closed
	log      *os.File
}

// TestImageRuns runs an image as an engine would: users, a transfer to itself, the seed's
// script and one of the examples, a stop, and a start on the same volumes.
func TestImageRuns(t *testing.T) {
	if *imageFile == "" {
		t.Skip("SKIPPED: make image-test makes the image and runs this")
	}
	if _, err := exec.LookPath("crun"); err != nil || os.Geteuid() != 0 {
		t.Fatal("the image is run by crun, as root: apt-get install crun")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute) // not t.Context: cleanups need it
	t.Cleanup(cancel)
	c := &container{t: t, ctx: ctx, dir: t.TempDir()}
	c.unpack(*imageFile)
	c.bundle()
	for name, file := range map[string]string{
		"recv.transferComplete": "../../cmd/jetstream/testdata/seed/recv.transferComplete",
		"send.transferComplete": "../../examples/triggers/log-line.sh",
	} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		c.write("volumes/etc/jetstream/triggers/"+name, text, 0o755)
	}
	c.start()
	for _, want := range []struct{ command, output string }{
		{"id", "uid=10001(jetstream) gid=10001(jetstream) groups=10001(jetstream)\n"},
		{"cat /proc/1/comm", "jetstream\n"},
		{"grep -c BEGIN /etc/ssl/certs/ca-certificates.crt | grep -q '^[1-9][0-9]' && echo many", "many\n"},
		{"jetstream trigger check /etc/jetstream/triggers >/dev/null && echo sound", "sound\n"},
		{"touch /etc/x 2>/dev/null || echo read-only", "read-only\n"},
	} {
		if got := c.must("sh", "-c", want.command); got != want.output {
			t.Errorf("%s prints %q, want %q", want.command, got, want.output)
		}
	}
	c.must("jetstream", "user", "add", "alice")
	c.must("jetstream", "user", "add", "bob")
	c.must("sh", "-c", "mkdir -p /srv/jetstream/alice/reel && echo alpha > /srv/jetstream/alice/reel/a.txt")
	sent := c.must("jetstream", "send", "--user", "alice", "--accept-key", "/srv/jetstream/alice/reel", "bob@localhost:/incoming")
	if !strings.Contains(sent, "\ncomplete: 1 file") {
		t.Errorf("send printed %q", sent)
	}
	if got := c.must("cat", "/srv/jetstream/bob/incoming/reel/a.txt"); got != "alpha\n" {
		t.Errorf("received %q", got)
	}
	log := c.await("both scripts", func() (string, bool) {
		text, _ := os.ReadFile(filepath.Join(c.dir, "volumes/etc/jetstream/triggers/log.txt"))
		return string(text), strings.Contains(string(text), "send.transferComplete") && strings.Contains(string(text), "manifest file")
	})
	if want := "manifest file: /reel/a.txt, file path: /srv/jetstream/bob/incoming/reel/a.txt\n"; !strings.Contains(log, want) || !strings.Contains(log, " initiated by bob is complete.\n") {
		t.Errorf("log.txt has\n%s", log)
	}
	runs := c.await("the records of both", func() (string, bool) {
		out := c.must("jetstream", "trigger", "runs", "--output", "json")
		return out, strings.Count(out, `"exitCode": 0`) == 2 || strings.Count(out, `"exitCode":0`) == 2
	})
	if strings.Contains(runs, "failed") {
		t.Errorf("runs:\n%s", runs)
	}
	c.must("sh", "-c", "(sh -c : & ) ; true") // an orphan, for the first process to reap
	c.await("the orphan's end", func() (string, bool) {
		out := c.must("sh", "-c", `grep -l "^State:.Z" /proc/[0-9]*/status 2>/dev/null; true`)
		return out, out == ""
	})
	c.stop()

	c.start()
	if got := c.must("jetstream", "user", "list", "--output", "json"); !strings.Contains(got, "alice") {
		t.Errorf("after a start on the same volumes the users are %s", got)
	}
	c.stop()
}

// unpack checks an image and unpacks its layers into rootfs.
func (c *container) unpack(file string) {
	c.t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		c.t.Fatal(err)
	}
	blobs := map[string][]byte{}
	for in := tar.NewReader(bytes.NewReader(content)); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			c.t.Fatal(err)
		}
		blobs[h.Name], _ = io.ReadAll(in)
	}
	type descriptor struct {
		Digest string
		Size   int
	}
	blob := func(d descriptor) []byte {
		c.t.Helper()
		b := blobs["blobs/sha256/"+strings.TrimPrefix(d.Digest, "sha256:")]
		if fmt.Sprintf("sha256:%x", sha256.Sum256(b)) != d.Digest || len(b) != d.Size {
			c.t.Fatalf("the blob %s is %d bytes with another digest, want %d", d.Digest, len(b), d.Size)
		}
		return b
	}
	var index struct{ Manifests []descriptor }
	var manifest struct {
		Config descriptor
		Layers []descriptor
	}
	var config struct{ Config imageSettings }
	c.decode(blobs["index.json"], &index)
	c.decode(blob(index.Manifests[0]), &manifest)
	c.decode(blob(manifest.Config), &config)
	c.settings = config.Config
	rootfs := filepath.Join(c.dir, "rootfs")
	if err := os.Mkdir(rootfs, 0o755); err != nil {
		c.t.Fatal(err)
	}
	for _, layer := range manifest.Layers {
		cmd := exec.CommandContext(c.ctx, "tar", "--extract", "--gzip", "--preserve-permissions", "--numeric-owner", "--same-owner", "--directory", rootfs)
		cmd.Stdin = bytes.NewReader(blob(layer))
		if out, err := cmd.CombinedOutput(); err != nil {
			c.t.Fatalf("tar: %v\n%s", err, out)
		}
	}
}

func (c *container) decode(content []byte, into any) {
	c.t.Helper()
	if err := json.Unmarshal(content, into); err != nil {
		c.t.Fatal(err)
	}
}

func (c *container) write(name string, content []byte, mode os.FileMode) {
	c.t.Helper()
	path := filepath.Join(c.dir, name)
	if err := os.WriteFile(path, content, mode); err != nil {
		c.t.Fatal(err)
	}
}

// bundle writes what crun wants to know, as engines do from the image's settings.
func (c *container) bundle() {
	c.t.Helper()
	mounts := []object{
		{"destination": "/proc", "type": "proc", "source": "proc"},
		{"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": []string{"nosuid", "mode=755"}},
		{"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": []string{"nosuid", "nodev", "mode=1777"}},
	}
	for volume := range c.settings.Volumes {
		source := filepath.Join(c.dir, "volumes", volume)
		if err := os.MkdirAll(filepath.Dir(source), 0o755); err != nil {
			c.t.Fatal(err)
		}
		if out, err := exec.CommandContext(c.ctx, "cp", "--archive", filepath.Join(c.dir, "rootfs", volume), source).CombinedOutput(); err != nil {
			c.t.Fatalf("cp: %v\n%s", err, out)
		}
		mounts = append(mounts, object{"destination": volume, "type": "bind", "source": source, "options": []string{"rbind", "rw"}})
	}
	var uid, gid int
	if _, err := fmt.Sscanf(c.settings.User, "%d:%d", &uid, &gid); err != nil {
		c.t.Fatalf("the user is %q", c.settings.User)
	}
	config, err := json.Marshal(object{
		"ociVersion": "1.0.2",
		"root":       object{"path": "rootfs", "readonly": true},
		"hostname":   "jetstream",
		"process": object{"args": c.settings.Entrypoint, "env": c.settings.Env, "cwd": c.settings.WorkingDir,
			"user": object{"uid": uid, "gid": gid}, "noNewPrivileges": true},
		"mounts": mounts,
		"linux":  object{"namespaces": []object{{"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}}},
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.write("config.json", config, 0o644)
}

// command prepares crun, which refuses to work where both versions of cgroups are
// mounted, and here wants neither.
func (c *container) command(args ...string) *exec.Cmd {
	return exec.CommandContext(c.ctx, "unshare", append([]string{"--mount", "sh", "-c",
		`! mountpoint -q /sys/fs/cgroup/unified || umount /sys/fs/cgroup/unified; exec crun "$@"`, "crun", "--root", filepath.Join(c.dir, "crun"),
		"--cgroup-manager", "disabled"}, args...)...)
}

// start runs the container and returns when it is healthy.
func (c *container) start() {
	c.t.Helper()
	var err error
	if c.log, err = os.Create(filepath.Join(c.dir, "log")); err != nil {
		c.t.Fatal(err)
	}
	c.server = c.command("run", "--bundle", c.dir, "jetstream-test")
	c.server.Stdout, c.server.Stderr = c.log, c.log
	if err := c.server.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.ended = make(chan struct{})
	go func() {
		c.result = c.server.Wait()
		close(c.ended)
	}()
	c.t.Cleanup(func() { // in case the test has failed before its end
		c.ctx = context.Background()
		_ = c.command("delete", "--force", "jetstream-test").Run()
		<-c.ended
		if c.t.Failed() {
			c.t.Log(c.said())
		}
	})
	c.await("a healthy server", func() (string, bool) {
		out, err := c.exec(c.settings.Healthcheck.Test[1:]...)
		return out, err == nil
	})
}

func (c *container) said() string {
	text, _ := os.ReadFile(c.log.Name())
	return string(text)
}

// exec runs a command in the container.
func (c *container) exec(args ...string) (string, error) {
	line := []string{"exec", "--user", c.settings.User}
	for _, variable := range append([]string{"JETSTREAM_USER_PASSWORD=hush-image-pw", "JETSTREAM_REMOTE_PASSWORD=hush-image-pw"}, c.settings.Env...) {
		line = append(line, "--env", variable)
	}
	out, err := c.command(append(append(line, "jetstream-test"), args...)...).CombinedOutput()
	return string(out), err
}

func (c *container) must(args ...string) string {
	c.t.Helper()
	out, err := c.exec(args...)
	if err != nil {
		c.t.Fatalf("%q: %v\n%s", args, err, out)
	}
	return out
}

// await asks until the answer is yes.
func (c *container) await(what string, ask func() (string, bool)) string {
	c.t.Helper()
	for again := time.Tick(100 * time.Millisecond); ; {
		out, ok := ask()
		if ok {
			return out
		}
		select {
		case <-again:
		case <-c.ended:
			c.t.Fatalf("there is not %s: the server has ended: %v", what, c.result)
		case <-c.ctx.Done():
			c.t.Fatalf("there is not %s: %s", what, out)
		}
	}
}

// stop sends the signal of the image, which ends the server with status 0.
func (c *container) stop() {
	c.t.Helper()
	if out, err := c.command("kill", "jetstream-test", strings.TrimPrefix(c.settings.StopSignal, "SIG")).CombinedOutput(); err != nil {
		c.t.Fatalf("crun kill: %v\n%s", err, out)
	}
	if <-c.ended; c.result != nil {
		c.t.Errorf("the server ended with %v:\n%s", c.result, c.said())
	}
}
