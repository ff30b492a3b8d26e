//go:build unix

package main

import (
	"context"
	"fmt"
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"jetstream/handlers"
	"jetstream/internal/api"
)

var (
	docsEntry  = regexp.MustCompile(`(?s)<article class="entry" id="([^"]+)" data-method.*?</article>`)
	docsSample = regexp.MustCompile(`(?s)data-language="(\w+)"><figcaption>\w+</figcaption><pre tabindex="0"><code>(.*?)</code>`)
)

// TestDocsSamplesRun runs the samples of /docs as they stand, but for the server's
// address: with curl those of every command, in each other language some.
func TestDocsSamplesRun(t *testing.T) {
	l := newLive(t)
	l.start()
	token := l.callAs("root", "createAPIToken", map[string]any{"permissions": []string{"read", "write", "admin"}})["token"].(string)
	_, page := l.get("", "/docs")
	samples := map[string]map[string]string{} // by command and language
	for _, entry := range docsEntry.FindAllStringSubmatch(page, -1) {
		samples[entry[1]] = map[string]string{}
		for _, sample := range docsSample.FindAllStringSubmatch(entry[0], -1) {
			samples[entry[1]][sample[1]] = strings.ReplaceAll(html.UnescapeString(sample[2]), "http://localhost:8886", l.baseURL)
		}
	}
	dir := t.TempDir()
	sample := func(program, name, text string, args ...string) string {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(context.Background(), program, append(args, file)...)
		cmd.Env = append(os.Environ(), "JETSTREAM_API_TOKEN="+token)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v: %s\n%s", program, err, out, text)
		}
		return string(out)
	}
	program := func(names ...string) string {
		for _, name := range names {
			if path, err := exec.LookPath(name); err == nil {
				return path
			}
		}
		if os.Getenv("CI") == "true" {
			t.Errorf("there is no %s, and CI must have it", names[0])
		}
		t.Logf("SKIPPED: no %s here: its samples are not run", names[0])
		return ""
	}
	languages := map[string]func(text string) string{}
	if python := program("python3"); python != "" {
		languages["Python"] = func(text string) string { return sample(python, "sample.py", text) }
	}
	if node := program("node"); node != "" {
		languages["JavaScript"] = func(text string) string { return sample(node, "sample.mjs", text) }
	}
	if goTool := program("go"); goTool != "" {
		languages["Go"] = func(text string) string { return sample(goTool, "sample.go", text, "run") }
	}
	for language, run := range languages {
		for _, name := range []string{"getServerInfo", "send.createManifest"} {
			if language == "Go" && name == "getServerInfo" {
				continue // each takes a second to build
			}
			out := run(samples[name][language])
			if want := map[string]string{"getServerInfo": "apiVersion", "send.createManifest": "manifestId"}[name]; !strings.Contains(out, want) {
				t.Errorf("%s in %s printed %s", name, language, out)
			}
		}
	}
	curl, shell := program("curl"), program("sh")
	if curl == "" || shell == "" {
		return
	}
	commands := handlers.Commands(handlers.Deps{}).All()
	for _, c := range commands {
		text := samples[c.Name]["curl"]
		if text == "" || samples[c.Name]["jetstream"] != c.ExampleLine() {
			t.Errorf("%s has no samples", c.Name)
			continue
		}
		if c.Name == "terminate" || c.Name == "send.getReceiverKey" || slices.ContainsFunc(c.Params, func(p api.Field) bool { return p.Name == "timeoutSeconds" }) {
			continue // one ends the server, one asks the network for a name, the others wait
		}
		out := sample(shell, "sample.sh", text+fmt.Sprintf(" -sS -o %s/reply -w '%%{http_code}'", dir))
		reply := read(t, filepath.Join(dir, "reply"))
		// The ids and names of the samples are made up.
		if !slices.Contains([]string{"200", "201", "202", "404", "409"}, out) || strings.Contains(reply, "no such path") {
			t.Errorf("%s answered %s %s to\n%s", c.Name, out, reply, text)
		}
	}
}
