//go:build unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// The programs that use generated clients, and what generates them.
const clientTools = "../../tools/clients"

// TestGeneratedGoClient generates a client from the committed document by
// oapi-codegen, compiles it, and lets it carry out a transfer.
func TestGeneratedGoClient(t *testing.T) {
	if testing.Short() {
		t.Skip("to generate and compile a client takes its time")
	}
	dir := clientDir(t, "go/go.mod", "go/go.sum", "go/main.go")
	goTool := func(args ...string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), "go", args...)
		// Nothing is fetched by a test: make clients does that.
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOPROXY=off", "GOFLAGS=-mod=mod -buildvcs=false", "GOWORK=off", "CGO_ENABLED=0")
		return cmd
	}
	if text, err := goTool("list", "-deps", "github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen").CombinedOutput(); err != nil {
		missing(t, "oapi-codegen is not here", string(text))
	}
	document, err := filepath.Abs("../../openapi/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	must(t, goTool("tool", "oapi-codegen", "-package=main", "-generate=types,client", "-o=client.gen.go", document))
	must(t, goTool("build", "-o=transfer", "."))
	checkClient(t, "from-go", exec.CommandContext(t.Context(), filepath.Join(dir, "transfer")))
}

// TestGeneratedTypeScriptClient does the same by openapi-typescript.
func TestGeneratedTypeScriptClient(t *testing.T) {
	if testing.Short() {
		t.Skip("to generate and compile a client takes its time")
	}
	modules, err := filepath.Abs(filepath.Join(clientTools, "node_modules"))
	if err != nil {
		t.Fatal(err)
	}
	_, noNode := exec.LookPath("node")
	if _, err := os.Stat(filepath.Join(modules, ".bin", "tsc")); noNode != nil || err != nil {
		missing(t, "node or the packages of tools/clients are not here", "")
	}
	dir := clientDir(t, "package.json", "tsconfig.json", "transfer.ts")
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	document, err := filepath.Abs("../../openapi/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	tool := func(args ...string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), filepath.Join(modules, ".bin", args[0]), args[1:]...)
		cmd.Dir = dir
		return cmd
	}
	must(t, tool("openapi-typescript", document, "--output", "schema.d.ts"))
	must(t, tool("tsc", "--project", "tsconfig.json"))
	cmd := exec.CommandContext(t.Context(), "node", "transfer.js")
	cmd.Dir = dir
	checkClient(t, "from-typescript", cmd)
}

// missing skips, loudly; where CI is to have everything it fails.
func missing(t *testing.T, what, more string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s, and CI must have it: run `make clients`\n%s", what, more)
	}
	t.Skipf("SKIPPED: %s; run `make clients` to fetch it. No generated client is tested here.\n%s", what, more)
}

// clientDir copies files of tools/clients into a directory of the test's own.
func clientDir(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range files {
		text, err := os.ReadFile(filepath.Join(clientTools, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, filepath.Base(name)), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func must(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, text)
	}
}

// checkClient lets a program send the tree from one live server to another,
// and looks at what has arrived.
func checkClient(t *testing.T, target string, cmd *exec.Cmd) {
	t.Helper()
	p := newPair(t)
	cmd.Env = append(os.Environ(), "JETSTREAM_URL="+p.from.baseURL, "JETSTREAM_USER=alice", "JETSTREAM_PASSWORD="+p.from.password,
		"JETSTREAM_DESTINATION=127.0.0.1:"+strconv.Itoa(p.to.recvPort))
	text, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	id, bytes, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	if got := p.from.call("send.getTransfer", map[string]any{"transferId": id}); got["status"] != "complete" || bytes != "10" {
		t.Errorf("the client says %q, the server %v", text, got)
	}
	for name, want := range map[string]string{"reel/a.txt": "alpha", "reel/b/c.txt": "gamma", "reel/empty": ""} {
		if got, err := os.ReadFile(filepath.Join(p.to.files, target, name)); err != nil || string(got) != want {
			t.Errorf("%s holds %q (%v), want %q", name, got, err, want)
		}
	}
}
