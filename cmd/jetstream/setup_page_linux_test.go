package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestSetupPage carries out the blocks of docs/setup.md, the last of which needs a
// running server.
func TestSetupPage(t *testing.T) {
	page := read(t, filepath.Join("..", "..", "docs", "setup.md"))
	var blocks []string
	for block := range strings.SplitSeq(page, "\n\n") {
		if strings.HasPrefix(block, "    ") {
			blocks = append(blocks, block)
		}
	}
	if len(blocks) != 3 {
		t.Fatalf("%d blocks", len(blocks))
	}
	home := shortDir(t)
	program := programFile(t)
	env := map[string]string{"HOME": home, "USER": "alice", "PATH": filepath.Dir(program) + ":" + os.Getenv("PATH")}
	for i, block := range blocks {
		if i == len(blocks)-1 {
			l := &live{t: t, state: filepath.Join(home, "jetstream", "state"), triggers: filepath.Join(home, "jetstream", "triggers"), secrets: newSecrets(home)}
			null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = null.Close() }()
			l.startOn(null, nil, "--config="+filepath.Join(home, "jetstream", "server.conf"))
		}
		sh := exec.Command("sh", "-euc", block)
		for name, value := range env {
			sh.Env = append(sh.Env, name+"="+value)
		}
		if out, err := sh.CombinedOutput(); err != nil {
			t.Errorf("%s\n%v\n%s", block, err, out)
		}
	}
}
