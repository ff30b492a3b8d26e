package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestFullAuditLogTurnsHealthRed: calls go on and their records are in the event
// log; with room again health is green, also before anything happens.
func TestFullAuditLogTurnsHealthRed(t *testing.T) {
	l := newLive(t)
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k,mode=700"); err != nil {
		t.Skipf("SKIPPED: cannot mount a tmpfs here: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	path, fill := filepath.Join(dir, "audit.log"), filepath.Join(dir, "fill")
	l.start("--audit-log=" + path)
	mkdir := func(name string) {
		t.Helper()
		l.call("mkdir", map[string]any{"path": "/" + name})
	}
	mkdir("before")
	if err := os.WriteFile(fill, make([]byte, 64<<10), 0o600); err == nil {
		t.Fatal("the disk could not be filled")
	}
	for i := range 20 { // what is left of the file's last page takes some
		mkdir(strings.Repeat("x", 200+i))
	}
	status, _ := l.get("", "/healthz")
	code, text := l.get("root", "/healthz?verbose")
	if want := "the audit log " + path + " cannot be written (no space left on device)"; status != 503 || code != 503 || !strings.Contains(text, want) {
		t.Errorf("health is %d and %d %s, want %q", status, code, text, want)
	}
	if _, text := l.get("root", "/metrics"); !strings.Contains(text, "jetstream_audit_log_failing 1\n") {
		t.Error("the metrics do not show it")
	}
	if err := os.Remove(fill); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); time.Now().Before(end) && status != 200; { // it is tried once a second
		status, _ = l.get("", "/healthz")
	}
	mkdir("after")
	got := read(t, path)
	if status != 200 || !strings.Contains(got, `"action":"gap"`) || !strings.Contains(got, "/after") || !strings.HasSuffix(got, "}\n") {
		t.Errorf("with room again health is %d, the file ends with %s", status, got[max(0, len(got)-600):])
	}
	if events := l.callAs("root", "getEventLog", map[string]any{"types": []string{"audit"}, "limit": 1000})["events"].([]any); len(events) != 22 {
		t.Errorf("the event log has %d of 22 records", len(events))
	}
}
