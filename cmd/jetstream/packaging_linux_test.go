package main

import (
	"bufio"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"jetstream/triggers"
)

const packaging = "../../packaging"

// TestUnitsFitTheProgram holds that the systemd units start commands and files that there
// are, and give a stop more time than the server takes for it.
func TestUnitsFitTheProgram(t *testing.T) {
	p := &program{Getenv: func(string) string { return "" }}
	model, err := p.model(&cli{}, kong.Name("jetstream"), kong.Vars{"default_state_dir": "", "output": "table"})
	if err != nil {
		t.Fatal(err)
	}
	contents := packaged(t)
	command := regexp.MustCompile(`/usr/bin/jetstream ([a-z]+)(?: (--[a-z-]+))?(?: (/[^;' ]+))?`)
	for _, unit := range []string{"jetstream.service", "jetstream.user.service"} {
		options := unitOptions(t, unit)
		for _, name := range []string{"ExecStart", "ExecReload"} {
			found := command.FindAllStringSubmatch(options[name], -1)
			if len(found) == 0 {
				t.Errorf("%s: %s=%s does not start the program", unit, name, options[name])
			}
			for _, m := range found {
				i := slices.IndexFunc(model.Children, func(n *kong.Node) bool { return n.Name == m[1] })
				if i < 0 {
					t.Errorf("%s: there is no command %q", unit, m[1])
				} else if m[2] != "" && !slices.ContainsFunc(model.Children[i].Flags, func(f *kong.Flag) bool { return "--"+f.Name == m[2] }) {
					t.Errorf("%s: %s has no flag %s", unit, m[1], m[2])
				}
				if m[3] != "" && contents[m[3]] == "" {
					t.Errorf("%s: the packages have no %s", unit, m[3])
				}
			}
		}
		stop, err := time.ParseDuration(options["TimeoutStopSec"])
		if need := triggers.DefaultShutdownGrace + triggers.DefaultGrace + 15*time.Second; err != nil || stop < need {
			t.Errorf("%s: TimeoutStopSec=%s; shutdown-grace and trigger-grace want at least %s", unit, options["TimeoutStopSec"], need)
		}
		for name, want := range map[string]string{"Type": "notify", "KillMode": "mixed", "OOMPolicy": "continue"} {
			if options[name] != want {
				t.Errorf("%s: %s is %q, want %q", unit, name, options[name], want)
			}
		}
		for _, name := range []string{"NoNewPrivileges", "SystemCallFilter", "RestrictAddressFamilies", "RestrictNamespaces", "RestrictSUIDSGID",
			"PrivateDevices", "ProtectKernelTunables", "ProtectKernelModules", "LockPersonality", "MemoryDenyWriteExecute", "DynamicUser"} {
			if value, ok := options[name]; ok {
				t.Errorf("%s: %s=%s keeps scripts from sudo and from setgid programs", unit, name, value)
			}
		}
	}
}

// TestPackagedSettingsAreRead holds that the server takes the settings that it has before
// there are any of the operator's, and receives from its own machine alone then.
func TestPackagedSettingsAreRead(t *testing.T) {
	path, err := filepath.Abs(filepath.Join(packaging, "first-start.conf"))
	if err != nil {
		t.Fatal(err)
	}
	var out, errOut strings.Builder
	if code := run(t.Context(), []string{"server", "--check", "--config", path}, os.Getenv, strings.NewReader(""), &out, &errOut); code != exitDone {
		t.Fatalf("exit status %d: %s", code, errOut.String())
	}
	if !regexp.MustCompile(`(?m)^recv-host +127\.0\.0\.1 `).MatchString(out.String()) {
		t.Errorf("the receive port is not on 127.0.0.1:\n%s", out.String())
	}
}

// packaged returns the files of the packages by their path there, and holds that those
// in the repository exist.
func packaged(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(packaging, "nfpm.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	contents := map[string]string{}
	for _, m := range regexp.MustCompile(`\{src: ([^,]+), dst: ([^,]+),`).FindAllStringSubmatch(string(text), -1) {
		contents[m[2]] = m[1]
	}
	for _, m := range regexp.MustCompile(`(?m)(?:src: |(?:install|remove): )((?:packaging/|LICENSE)[^,\n]*)`).FindAllStringSubmatch(string(text), -1) {
		if _, err := os.Stat(filepath.Join("../..", m[1])); err != nil {
			t.Errorf("nfpm.yaml: %v", err)
		}
	}
	if contents["/usr/bin/jetstream"] == "" {
		t.Fatal("nfpm.yaml: there is no program in the packages")
	}
	return contents
}

// unitOptions returns the options of a unit; of one that stands twice, the last.
func unitOptions(t *testing.T, unit string) map[string]string {
	t.Helper()
	f, err := os.Open(filepath.Join(packaging, "systemd", unit))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	options := map[string]string{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if name, value, ok := strings.Cut(lines.Text(), "="); ok && !strings.HasPrefix(name, "#") {
			options[name] = value
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return options
}
