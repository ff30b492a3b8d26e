package receiver

import (
	"bytes"
	"io"
	"os"
)

// holeSize is the size of the pieces that become holes if they are zero.
const holeSize = 4096

// sparse writes pieces of a file one after the other, and leaves holes where
// they are zero. Nothing else may have been written there.
type sparse struct {
	file   *os.File
	offset int64
	size   int64 // of the file at last; 0 is not known
}

// zeros is compared with what is written.
var zeros [holeSize]byte //nolint:gochecknoglobals // constant

// Write implements io.Writer.
func (s *sparse) Write(b []byte) (int, error) {
	total := len(b)
	for len(b) > 0 {
		data := run(b, false)
		if data > 0 {
			if _, err := s.file.WriteAt(b[:data], s.offset); err != nil {
				return 0, err
			}
		}
		hole := run(b[data:], true)
		b, s.offset = b[data+hole:], s.offset+int64(data+hole)
		// Nothing behind it makes the file as long, unless it is.
		if len(b) == 0 && hole > 0 && (s.size == 0 || s.size == s.offset) {
			if err := s.file.Truncate(s.offset); err != nil {
				return 0, err
			}
		}
	}
	return total, nil
}

// run returns how many bytes at the beginning of b are in pieces that are zero,
// or in pieces that are not.
func run(b []byte, zero bool) (n int) {
	for n < len(b) {
		piece := b[n:min(n+holeSize, len(b))]
		if bytes.Equal(piece, zeros[:len(piece)]) != zero {
			break
		}
		n += len(piece)
	}
	return n
}

// copySparse copies a file with its holes.
func copySparse(to, from *os.File) error {
	_, err := io.CopyBuffer(&sparse{file: to}, struct{ io.Reader }{from}, make([]byte, 1<<20))
	return err
}
