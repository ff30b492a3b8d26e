package server

import (
	"errors"
	"strings"
	"testing"

	"jetstream/internal/transfer/wire"
)

func TestUnknownChoicesAreRefused(t *testing.T) {
	for name, o := range map[string]Options{
		"Lanes":      {Lanes: wire.MaxLanes + 1},
		"Digest":     {Digest: "md5"},
		"Congestion": {Congestion: "vegas"},
		"Policy":     {Policy: "rude"},
	} {
		o.StateDir = t.TempDir()
		err := o.Check()
		if _, ok := errors.AsType[*OptionError](err); !ok || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
