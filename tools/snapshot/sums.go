package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
)

// sumsFile has the checksums, as sha256sum --check reads them.
const sumsFile = "SHA256SUMS"

// sums writes the checksums of all files in the output directory.
func (r *release) sums() error {
	entries, err := os.ReadDir(r.out)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	for _, e := range entries {
		if !e.Type().IsRegular() || e.Name() == sumsFile {
			continue
		}
		content, err := os.ReadFile(filepath.Join(r.out, e.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&out, "%x  %s\n", sha256.Sum256(content), e.Name())
	}
	if out.Len() == 0 {
		return fmt.Errorf("there is nothing in %s whose checksum could be written", r.out)
	}
	return r.write(sumsFile, out.Bytes())
}
