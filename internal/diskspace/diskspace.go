// Package diskspace measures the free space of file systems and compares it with
// the space that must stay free.
package diskspace

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"
)

// Space is the space of a file system, in bytes.
type Space struct {
	Free  uint64 // what the user of this process may still take
	Total uint64 // 0 where the file system does not say
}

// Of measures the file system that dir lies on, or that of the nearest directory
// above it that exists.
func Of(dir string) (Space, error) {
	for {
		s, err := of(dir)
		parent := filepath.Dir(dir)
		if !errors.Is(err, fs.ErrNotExist) || parent == dir {
			return s, err
		}
		dir = parent
	}
}

// Floor is how much of a file system must stay free: Bytes, or Percent of its size,
// the less of them if both are set. The zero value is nothing.
type Floor struct {
	Bytes   int64
	Percent float64
}

// Auto returns the floor for file systems of any size.
func Auto() Floor { return Floor{Bytes: 1 << 30, Percent: 5} }

// Parse reads a floor: auto, a size such as 500MiB, a percentage such as 2%, or 0.
func Parse(text string) (Floor, error) {
	wrong := fmt.Errorf("%q is neither auto nor a size such as 500MiB or 2GiB, nor a percentage such as 2%%; 0 is none", text)
	if text == "auto" {
		return Auto(), nil
	}
	if number, ok := strings.CutSuffix(text, "%"); ok {
		n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || math.IsNaN(n) || n < 0 || n > 99 || strings.ContainsAny(number, "xXpP_+-") {
			return Floor{}, wrong
		}
		return Floor{Percent: n}, nil
	}
	n, err := ParseSize(text)
	if err != nil {
		return Floor{}, wrong
	}
	return Floor{Bytes: n}, nil
}

// ParseSize reads a size such as 500MiB.
func ParseSize(text string) (int64, error) {
	n, err := humanize.ParseBytes(text)
	if err != nil || n > math.MaxInt64 {
		return 0, fmt.Errorf("%q is no size such as 500MiB or 2GiB", text)
	}
	return int64(n), nil
}

// On returns how many bytes must stay free on a file system of a total size. A
// percentage of an unknown size is nothing.
func (f Floor) On(total uint64) uint64 {
	share := uint64(float64(total) / 100 * f.Percent)
	switch {
	case f.Percent == 0:
		return uint64(f.Bytes)
	case f.Bytes == 0:
		return share
	}
	return min(uint64(f.Bytes), share)
}

// Short reports whether less is free than must be.
func (f Floor) Short(s Space) bool { return s.Free < f.On(s.Total) }

// Describe returns what must stay free on a file system, for people: the size, and in
// brackets the percentage that it comes from.
func (f Floor) Describe(total uint64) string {
	size := Size(f.On(total))
	if f.Percent > 0 && f.On(total) != uint64(f.Bytes) {
		return fmt.Sprintf("%s (%s %%)", size, strconv.FormatFloat(f.Percent, 'g', -1, 64))
	}
	return size
}

// Size formats a number of bytes for people.
func Size(bytes uint64) string { return humanize.IBytes(bytes) }
