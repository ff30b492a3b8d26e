package receiver

import (
	"bytes"
	"errors"
	"io"
	"os"
)

// holeSize is the size of the pieces that become holes if they are zero.
const holeSize = 4096

// sparse writes pieces of a file one after the other, and leaves holes where
// they are zero.
type sparse struct {
	file   *os.File
	offset int64
	zeros  [holeSize]byte
}

// Write implements io.Writer.
func (s *sparse) Write(b []byte) (int, error) {
	total := len(b)
	for len(b) > 0 {
		data := s.run(b, false)
		if data > 0 {
			if _, err := s.file.WriteAt(b[:data], s.offset); err != nil {
				return 0, err
			}
		}
		hole := s.run(b[data:], true)
		b, s.offset = b[data+hole:], s.offset+int64(data+hole)
		if len(b) == 0 && hole > 0 { // nothing behind it makes the file as long
			if err := s.file.Truncate(s.offset); err != nil {
				return 0, err
			}
		}
	}
	return total, nil
}

// run returns how many bytes at the beginning of b are in pieces that are zero,
// or in pieces that are not.
func (s *sparse) run(b []byte, zero bool) (n int) {
	for n < len(b) {
		piece := b[n:min(n+holeSize, len(b))]
		if bytes.Equal(piece, s.zeros[:len(piece)]) != zero {
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

// checkSize returns an error if a file system takes no files of that size. file
// is empty, and is so afterwards.
func checkSize(file *os.File, size int64) error {
	return errors.Join(file.Truncate(size), file.Truncate(0))
}
