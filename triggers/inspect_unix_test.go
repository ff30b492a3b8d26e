//go:build unix

package triggers_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"jetstream/internal/api"
	"jetstream/triggers"
)

func eventNames() []string {
	var names []string
	for _, d := range triggers.Definitions() {
		names = append(names, d.Name)
	}
	return append(names, "on.send.createManifest", "on.ls", "on.mv", "on.rm", "on.du", "on.mkdir", "on.ping")
}

func TestDirectoryThatForbidsTheStart(t *testing.T) {
	base := t.TempDir()
	file := filepath.Join(base, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	open := filepath.Join(base, "open")
	foreign := filepath.Join(base, "foreign")
	shared := filepath.Join(base, "shared")
	for _, dir := range []string{open, foreign, shared} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(shared, 0o775); err != nil {
		t.Fatal(err)
	}
	cases := map[string]string{shared: "chmod g-w", filepath.Join(base, "none"): "does not exist", file: "is no directory", open: "chmod o-w"}
	if os.Geteuid() == 0 {
		if err := os.Chown(foreign, 12345, 0); err != nil {
			t.Fatal(err)
		}
		cases[foreign] = "another user"
	}
	for dir, want := range cases {
		_, err := triggers.CheckDir(dir, eventNames(), "")
		if !errors.Is(err, &api.Error{Code: api.CodeInvalid}) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v, want it to say %q", dir, err, want)
		}
	}
}

func TestDoctorFindsFaultsOfScripts(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o775|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	put := func(name, text string, mode os.FileMode) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	put("launch", "echo no shebang\n", 0o755)
	put("send.destinationCreated", "#!/bin/sh\r\n", 0o755)
	put("send.destinationDeleted", "#!/no/such/python\n", 0o755)
	put("recv.transferComplete", "#!/bin/sh\n", 0o644)
	put("recv.transfercomplete", "#!/bin/sh\n", 0o755)
	put("launch.sh", "#!/bin/sh\n", 0o644)
	put("on.send.createManifest", "#!/usr/bin/env -S no-such-python -u\n", 0o755)
	put("on.ls", "#!/usr/bin/env sh\n", 0o775)
	put("on.mv", "#!/usr/bin/env python3 -u\n", 0o755)
	put("on.rm", "\uFEFF#!/bin/sh\n", 0o755)
	put("on.du", "\xff\xfe#\x00!\x00/\x00\n\x00", 0o755)
	put("on.mkdir", "#!/bin/sh "+strings.Repeat("x", 250)+"\n", 0o755)
	put("on.ping", "#!/usr/bin/env -vS sh -e\n", 0o755)
	put("log.txt", "a log\n", 0o644)
	put("checksum-helper", "#!/bin/sh\n", 0o755)
	findings, err := triggers.CheckDir(dir, eventNames(), "/usr/bin:/bin")
	if err != nil {
		t.Fatal(err)
	}
	want := []struct {
		level      triggers.Level
		file, part string
	}{
		{triggers.LevelNote, "checksum-helper", "no event has its name"},
		{triggers.LevelNote, "launch", "no #! line"},
		{triggers.LevelError, "launch.sh", "launch.sh is no event; did you mean launch?"},
		{triggers.LevelError, "on.du", "it is UTF-16"},
		{triggers.LevelError, "on.ls", "chmod g-w"},
		{triggers.LevelError, "on.mkdir", "longer than 255 bytes"},
		{triggers.LevelError, "on.mv", "write `env -S python3 -u`"},
		{triggers.LevelError, "on.rm", "begins with a byte order mark"},
		{triggers.LevelError, "on.send.createManifest", "looks for no-such-python"},
		{triggers.LevelError, "recv.transferComplete", "chmod +x"},
		{triggers.LevelError, "recv.transfercomplete", "recv.transfercomplete is no event; did you mean recv.transferComplete?"},
		{triggers.LevelError, "send.destinationCreated", "CR LF"},
		{triggers.LevelError, "send.destinationDeleted", "/no/such/python"},
	}
	for _, w := range want {
		i := slices.IndexFunc(findings, func(f triggers.Finding) bool { return f.File == w.file })
		if i < 0 {
			t.Errorf("nothing was found in %q", w.file)
			continue
		}
		if f := findings[i]; f.Level != w.level || !strings.Contains(f.Message, w.part) {
			t.Errorf("%q: %s %q, want %s and %q", w.file, f.Level, f.Message, w.level, w.part)
		}
		findings = slices.Delete(findings, i, i+1)
	}
	if len(findings) != 0 {
		t.Errorf("also found: %+v", findings)
	}
}
