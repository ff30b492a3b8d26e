package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// maxRate is the highest rate that can be given, in kbit/s.
const maxRate = 1e9

// parseRate reads a rate in kbit/s, or with a unit (k, M, G) in bit/s. What is
// not 0 is at least 1 kbit/s.
func parseRate(text string) (kbits int64, err error) {
	number, unit := text, 1.0
	for i, letter := range []string{"k", "m", "g"} {
		if rest, ok := strings.CutSuffix(strings.ToLower(text), letter); ok {
			number, unit = rest, math.Pow(1000, float64(i))
		}
	}
	n, err := strconv.ParseFloat(number, 64)
	if n *= unit; err != nil || math.IsNaN(n) || n < 0 || n > maxRate || strings.ContainsAny(number, "xXpP_+-") {
		return 0, fmt.Errorf("%q is no rate: write a number of kbit/s, or a unit as in 500k, 100M or 1.5G (bit/s)", text)
	}
	return int64(math.Ceil(n)), nil
}
