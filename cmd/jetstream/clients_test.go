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

// TestGeneratedGoClients generates clients from the committed document by
// oapi-codegen and ogen, compiles them, and lets each carry out a transfer.
func TestGeneratedGoClients(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("to generate and compile clients takes its time")
	}
	document := absolute(t, "../../openapi/openapi.json")
	for name, c := range map[string]struct {
		dir, tool string
		files     []string
		arguments []string
	}{
		"go": {"go", "github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen", nil,
			[]string{"-package=main", "-generate=types,client", "-o=client.gen.go", document}},
		"ogen": {"ogen", "github.com/ogen-go/ogen/cmd/ogen", []string{"ogen.yml"},
			[]string{"--config=ogen.yml", "--loglevel=error", "--target=api", "--package=api", document}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := clientDir(t, c.dir, append(c.files, "go.mod", "go.sum", "main.go")...)
			goTool := func(args ...string) *exec.Cmd {
				cmd := exec.CommandContext(t.Context(), "go", args...)
				// Nothing is fetched by a test: make clients does that.
				cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOPROXY=off", "GOFLAGS=-mod=mod -buildvcs=false", "GOWORK=off", "CGO_ENABLED=0")
				return cmd
			}
			if text, err := goTool("list", "-deps", c.tool).CombinedOutput(); err != nil {
				missing(t, c.tool+" is not here", string(text))
			}
			must(t, goTool(append([]string{"tool", c.tool}, c.arguments...)...))
			must(t, goTool("build", "-o=transfer", "."))
			checkClient(t, "from-"+name, exec.CommandContext(t.Context(), filepath.Join(dir, "transfer")))
		})
	}
}

// TestGeneratedTypeScriptClients does the same by openapi-typescript,
// @hey-api/openapi-ts and orval.
func TestGeneratedTypeScriptClients(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("to generate and compile clients takes its time")
	}
	modules := absolute(t, clientTools+"/node_modules")
	_, noNode := exec.LookPath("node")
	for _, name := range []string{"tsc", "openapi-typescript", "openapi-ts", "orval"} {
		if _, err := os.Stat(filepath.Join(modules, ".bin", name)); noNode != nil || err != nil {
			missing(t, "node or the packages of tools/clients are not here", "")
		}
	}
	names := []string{"openapi-typescript", "hey-api", "orval"}
	dir := clientDir(t, "", "package.json", "tsconfig.json", "scenario.ts", "orval.config.cjs", "orval-fetch.ts",
		names[0]+".ts", names[1]+".ts", names[2]+".ts", "../../openapi/openapi.json")
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"openapi-typescript", "openapi.json", "--output", "schema.d.ts"},
		{"openapi-ts", "-i", "openapi.json", "-o", "hey-api", "--no-log-file"},
		{"orval", "--config", "orval.config.cjs"},
		{"tsc", "--project", "tsconfig.json"},
	} {
		cmd := exec.CommandContext(t.Context(), filepath.Join(modules, ".bin", args[0]), args[1:]...)
		cmd.Dir = dir
		must(t, cmd)
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), "node", name+".js")
			cmd.Dir = dir
			checkClient(t, "from-"+name, cmd)
		})
	}
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// missing skips, loudly; where CI is to have everything it fails.
func missing(t *testing.T, what, more string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s, and CI must have it: run `make clients`\n%s", what, more)
	}
	t.Skipf("SKIPPED: %s; run `make clients` to fetch it. No generated client is tested here.\n%s", what, more)
}

// clientDir copies files below tools/clients into a directory of the test's own.
func clientDir(t *testing.T, below string, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range files {
		text, err := os.ReadFile(filepath.Join(clientTools, below, name))
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
