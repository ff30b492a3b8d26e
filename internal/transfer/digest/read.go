package digest

import (
	"context"
	"errors"
	"io"
)

// OfSize returns the digest of all that r holds, in lower-case hexadecimal, which is
// an error unless r holds size bytes. It ends with ctx.
func OfSize(ctx context.Context, a Algorithm, r io.Reader, size int64) (string, error) {
	r = io.LimitReader(bounded{ctx, r}, size+1) // the byte more tells whether it is longer
	if size > BlockSize {
		digest, n, err := Of(a, r)
		if err == nil && n != size {
			err = shorter(n, size)
		}
		return digest, err
	}
	buf := make([]byte, size+1)
	n, err := io.ReadFull(r, buf)
	switch {
	case err == nil || (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)) && int64(n) != size:
		return "", shorter(int64(n), size)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return Bytes(a, buf[:n]), nil
	}
	return "", err
}

// bounded is a reader that fails once ctx has ended.
type bounded struct {
	ctx context.Context //nolint:containedctx // of the call of OfSize
	r   io.Reader
}

func (b bounded) Read(p []byte) (int, error) {
	if err := context.Cause(b.ctx); err != nil {
		return 0, err
	}
	return b.r.Read(p)
}
