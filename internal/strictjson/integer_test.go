package strictjson

import (
	"strings"
	"testing"
)

func TestInteger(t *testing.T) {
	for in, want := range map[string]string{
		"1000": "1000", "1000.0": "1000", "1e3": "1000", "1E+3": "1000", "-1.5e1": "-15", "-0.0": "0", "100e-2": "1",
		"9223372036854775807.0": "9223372036854775807", "9223372036854775808.0": "9223372036854775808",
		"1.5": "1.5", "1e-1": "1e-1", "1e999999999": "1e999999999", "0e65": "0e65", `"1e3"`: `"1e3"`, "true": "true", "": "",
		"0x1p4": "0x1p4", "1." + strings.Repeat("0", 70): "1." + strings.Repeat("0", 70),
	} {
		if got := Integer([]byte(in)); string(got) != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}
