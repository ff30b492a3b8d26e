package wire

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// text returns n bytes that compress well.
func text(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	var b []byte
	for len(b) < n {
		b = append(append(b, "word"...), byte('a'+r.IntN(26)), ' ')
	}
	return b[:n]
}

func TestShrunkPayloadsBecomePlainAgain(t *testing.T) {
	var c Compressor
	var d Decompressor
	for _, n := range []int{30, 255, 256, 1000, 1025, 70_000, 256 << 10, MaxData} {
		plain := text(n)
		payload := bytes.Clone(plain)
		shrunk := c.Shrink(payload)
		if n >= 255 && shrunk > n/2 {
			t.Errorf("%d bytes become %d", n, shrunk)
		}
		h := Header{Type: TypeData, Compressed: shrunk < n, Length: shrunk, Sum: Sum(plain)}
		h, got, err := d.Plain(h, payload[:shrunk], func(n int) []byte { return make([]byte, n) })
		if err != nil || !bytes.Equal(got, plain) || h.Compressed || h.Length != n || h.Check(got) != nil {
			t.Errorf("%d bytes come back as %d, %+v (%v)", n, len(got), h, err)
		}
	}
	random := make([]byte, MaxData)
	_, _ = rand.NewChaCha8([32]byte{}).Read(random)
	payload := bytes.Clone(random)
	if n := c.Shrink(payload); n != MaxData || !bytes.Equal(payload, random) {
		t.Errorf("random bytes become %d of %d", n, MaxData)
	}
}

// frameOf compresses with other options than Compressor.
func frameOf(t testing.TB, plain []byte, options ...zstd.EOption) []byte {
	t.Helper()
	z, err := zstd.NewWriter(nil, append(options, zstd.WithEncoderConcurrency(1))...)
	if err != nil {
		t.Fatal(err)
	}
	return z.EncodeAll(plain, nil)
}

func TestHostilePayloadsAreRefused(t *testing.T) {
	good := frameOf(t, text(5000), zstd.WithSingleSegment(true))
	// The bytes 4 and 5 to 6 of good are the descriptor and the length, less 256.
	claims := func(n int) []byte {
		b := bytes.Clone(good)
		b[5], b[6] = byte(n-256), byte((n-256)>>8)
		return b
	}
	wide := frameOf(t, text(5000), zstd.WithSingleSegment(false))
	wide[5] = 13 << 3         // a window of 8 MiB
	var streamed bytes.Buffer // does not state its length
	z, _ := zstd.NewWriter(&streamed, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<10))
	for range 3 {
		_, _ = z.Write(text(5000))
		_ = z.Flush()
	}
	_ = z.Close()
	skippable := append([]byte{0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0}, "abcd"...)
	for name, c := range map[string]struct {
		payload []byte
		corrupt bool // else it breaks the protocol
	}{
		"nothing":                      {nil, false},
		"garbage":                      {bytes.Repeat([]byte("x"), 1000), false},
		"half a header":                {good[:5], false},
		"a frame to skip":              {append(skippable, good...), false},
		"no length":                    {streamed.Bytes(), false},
		"length 0":                     {frameOf(t, nil, zstd.WithZeroFrames(true)), false},
		"a bomb":                       {frameOf(t, make([]byte, 8<<20), zstd.WithSingleSegment(true)), false},
		"one byte too many":            {frameOf(t, make([]byte, MaxData+1), zstd.WithSingleSegment(true)), false},
		"a window too large":           {wide, false},
		"a bomb that claims little":    {claims(300), true},
		"a frame that claims too much": {claims(6000), true},
		"a truncated frame":            {good[:len(good)-20], true},
		"garbage behind the frame":     {append(bytes.Clone(good), "garbage"...), true},
		"a second frame":               {append(bytes.Clone(good), good...), true},
	} {
		t.Run(name, func(t *testing.T) {
			var d Decompressor
			h := Header{Type: TypeData, Compressed: true, Length: len(c.payload), Sum: Sum(text(5000))}
			h, plain, err := d.Plain(h, c.payload, func(n int) []byte { return make([]byte, n) })
			if err == nil {
				t.Fatalf("it became %d bytes, %+v", len(plain), h)
			}
			_, broken := errors.AsType[*ProtocolError](err)
			_, corrupt := errors.AsType[*ErrCorrupt](err)
			if broken == c.corrupt || corrupt != c.corrupt {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

func TestOnlyDataMayBeCompressed(t *testing.T) {
	for typ, ok := range map[Type]bool{TypeData: true, TypeEntries: false, TypePing: false} {
		frame := AppendFrame(nil, Header{Type: typ, Compressed: true}, nil)
		if h, _, err := ReadFrame(bytes.NewReader(frame), nil); (err == nil) != ok || h.Compressed != ok {
			t.Errorf("type %d: %+v, %v", typ, h, err)
		}
	}
	frame := AppendFrame(nil, Header{Type: TypeData}, nil)
	frame[1] = 2
	if _, _, err := ReadFrame(bytes.NewReader(frame), nil); err == nil {
		t.Error("a compression that does not exist is taken")
	}
}

// FuzzPlain holds that a payload is refused or becomes as many bytes as were
// asked for, MaxData at most.
func FuzzPlain(f *testing.F) {
	good := frameOf(f, text(5000), zstd.WithSingleSegment(true))
	for _, b := range [][]byte{nil, good, good[:100], append(bytes.Clone(good), good...), frameOf(f, make([]byte, 2<<20))} {
		f.Add(b)
	}
	var d Decompressor
	f.Fuzz(func(t *testing.T, payload []byte) {
		asked := -1
		h := Header{Type: TypeData, Compressed: true, Length: len(payload)}
		h, plain, err := d.Plain(h, payload, func(n int) []byte { asked = n; return make([]byte, n) })
		if asked > MaxData || asked == 0 {
			t.Fatalf("%d bytes were asked for", asked)
		}
		if err == nil && (len(plain) != asked || h.Length != asked || h.Compressed) {
			t.Errorf("%d bytes were asked for, %d came: %+v", asked, len(plain), h)
		}
	})
}
