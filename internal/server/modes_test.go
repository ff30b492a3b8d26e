//go:build unix

package server_test

import (
	"strings"
	"testing"

	"jetstream/internal/server"
)

func TestModesThatMakeNoSenseAreRefused(t *testing.T) {
	for want, o := range map[string]server.Options{
		`FileMode "rw" is no mode in octal`:                        {FileMode: "rw"},
		`FileMode "0888" is no mode in octal`:                      {FileMode: "0888"},
		`FileMode "0040" takes rights from the owner`:              {FileMode: "0040"},
		`FileMode "4755" has bits other than those of 0777`:        {FileMode: "4755"},
		`DirMode "0640" takes rights from the owner`:               {DirMode: "0640"},
		`DirMode "4755" has bits other than those of 3777`:         {DirMode: "4755"},
		`FileGroup "no such group" is no group of this machine`:    {FileGroup: "no such group"},
		`MinFree "lots" is neither auto nor a size such as 500MiB`: {MinFree: "lots"},
	} {
		o.StateDir = t.TempDir()
		if err := o.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	o := server.Options{StateDir: t.TempDir(), FileMode: "0440", DirMode: "3770", FileGroup: "0"}
	if err := o.Check(); err != nil && !strings.Contains(err.Error(), "none of the groups") {
		t.Error(err)
	}
}
