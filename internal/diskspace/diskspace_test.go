package diskspace_test

import (
	"path/filepath"
	"strings"
	"testing"

	"jetstream/internal/diskspace"
)

func TestFloor(t *testing.T) {
	for _, tt := range []struct {
		text  string
		total uint64
		on    uint64
		says  string
	}{
		{"auto", 1 << 40, 1 << 30, "1.0 GiB"},
		{"auto", 1 << 30, 53687091, "51 MiB (5 %)"},
		{"0", 1 << 40, 0, "0 B"},
		{"500MiB", 1 << 20, 500 << 20, "500 MiB"},
		{"1000", 1 << 20, 1000, "1000 B"},
		{"2.5%", 1000, 25, "25 B (2.5 %)"},
		{"2 %", 0, 0, "0 B"},
	} {
		f, err := diskspace.Parse(tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		if got := f.On(tt.total); got != tt.on || f.Describe(tt.total) != tt.says {
			t.Errorf("%s of %d is %d, %s, want %d, %s", tt.text, tt.total, got, f.Describe(tt.total), tt.on, tt.says)
		}
		if f.Short(diskspace.Space{Free: tt.on, Total: tt.total}) || tt.on > 0 && !f.Short(diskspace.Space{Free: tt.on - 1, Total: tt.total}) {
			t.Errorf("%s of %d is short in the wrong place", tt.text, tt.total)
		}
	}
	for _, text := range []string{"", "some", "-1", "100%", "-1%", "1e%x", "NaN%", "99999999EiB"} {
		if f, err := diskspace.Parse(text); err == nil || !strings.Contains(err.Error(), "500MiB") {
			t.Errorf("%q is %v, %v", text, f, err)
		}
	}
}

func TestOf(t *testing.T) {
	dir := t.TempDir()
	s, err := diskspace.Of(filepath.Join(dir, "not", "there"))
	if err != nil || s.Total == 0 || s.Free > s.Total {
		t.Errorf("%+v, %v", s, err)
	}
	file := filepath.Join("/", "\x00")
	if _, err := diskspace.Of(file); err == nil {
		t.Error("an impossible name has space")
	}
}
