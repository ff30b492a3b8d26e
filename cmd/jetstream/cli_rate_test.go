package main

import "testing"

func TestRates(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "100000": 100_000, "500k": 500, "100M": 100_000, "100m": 100_000, "1.5G": 1_500_000, "0.1": 1, "0.5k": 1, "1000G": 1e9,
	} {
		if got, err := parseRate(text); err != nil || got != want {
			t.Errorf("%q is %d (%v), want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "M", "-1", "+1", "1e", "ten", "1T", "1 M", "100Mbit", "100MB", "NaN", "Inf", "inf", "0x10", "1_000", "1001G"} {
		if got, err := parseRate(text); err == nil {
			t.Errorf("%q is taken for %d kbit/s", text, got)
		}
	}
}
