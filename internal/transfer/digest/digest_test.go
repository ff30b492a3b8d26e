package digest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
)

// counting returns n bytes as the test vectors of BLAKE3 have them.
func counting(n int) []byte {
	period := make([]byte, 251)
	for i := range period {
		period[i] = byte(i)
	}
	return bytes.Repeat(period, n/251+1)[:n]
}

// vectors are digests of counting(size): xxh3-128 by xxhsum 0.8.1, of larger
// files than a block by it and split; blake3 by b3sum 1.2.0, up to 102,400 bytes
// those of the test vectors that its authors publish.
func vectors() []vector {
	return []vector{
		{0, "99aa06d3014798d86001c324468d497f", "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"},
		{1, "a6cd5e9392000f6ac44bdff4074eecdb", "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213"},
		{2, "6a4a5274c1b0d3add6645fc3051a9457", "7b7015bb92cf0b318037702a6cdd81dee41224f734684c2c122cd6359cb1ee63"},
		{3, "e3b55f57945a17cf5f4299fc161c9cbb", "e1be4d7a8ab5560aa4199eea339849ba8e293d55ca0a81006726d184519e647f"},
		{63, "bb8d4c458fac1f120302a39b74a9cf52", "e9bc37a594daad83be9470df7f7b3798297c3d834ce80ba85d6e207627b7db7b"},
		{64, "9c6e140a465545e590c1971ddb04ce74", "4eed7141ea4a5cd4b788606bd23f46e212af9cacebacdc7d1f4c6dc7f2511b98"},
		{65, "ebedf05eeadc28f11aee64a1615de88f", "de1e5fa0be70df6d2be8fffd0e99ceaa8eb6e8c93a63f2d8d1c30ecb6b263dee"},
		{1023, "4325711b0ed4d742d3d91d80ac495685", "10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11"},
		{1024, "d0ac1f7b93bf57b9e5d78bafa45b2aa5", "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7"},
		{1025, "2882ebca04ec915ce95c42288f28186e", "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444"},
		{2048, "a5141efedfefc1af25339063db861586", "e776b6028c7cd22a4d0ba182a8bf62205d2ef576467e838ed6f2529b85fba24a"},
		{2049, "39a54bc93f74921b6c9600c0e506e2ae", "5f4d72f40d7a5f82b15ca2b2e44b1de3c2ef86c426c95c1af0b6879522563030"},
		{3072, "6ad7706834262fbe4adb90b35034df6b", "b98cb0ff3623be03326b373de6b9095218513e64f1ee2edd2525c7ad1e5cffd2"},
		{3073, "5d57462ac5e1e28c6b63998099a1db88", "7124b49501012f81cc7f11ca069ec9226cecb8a2c850cfe644e327d22d3e1cd3"},
		{4096, "e12cd72144990fe57135ffa504f1bc71", "015094013f57a5277b59d8475c0501042c0b642e531b0a1c8f58d2163229e969"},
		{4097, "0f77b4bc73e3337db69d29f17d48293f", "9b4052b38f1c5fc8b1f9ff7ac7b27cd242487b3d890d15c96a1c25b8aa0fb995"},
		{5120, "fca66ee812b7536bc253253a1e34eacb", "9cadc15fed8b5d854562b26a9536d9707cadeda9b143978f319ab34230535833"},
		{8192, "d481c9ee8a8fe42940a71c16bbe37322", "aae792484c8efe4f19e2ca7d371d8c467ffb10748d8a5a1ae579948f718a2a63"},
		{16384, "89f77cad30e7b59d168f7fb4781d0831", "f875d6646de28985646f34ee13be9a576fd515f76b5b0a26bb324735041ddde4"},
		{16385, "7f1012a369696b6dfea38d9173737a4b", "1dabe216be2578830263b049de1639f39f05a4da616b9b78c7a5e4e41662fd1f"},
		{31744, "786ea195976b880d5162bbaf8b257803", "62b6960e1a44bcc1eb1a611a8d6235b6b4b78f32e7abc4fb4c6cdcce94895c47"},
		{102400, "ecd387d36185351b1428e17f1cac2837", "bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085"},
		{1048575, "10fb43d7606e20e4895179b331362d01", "f32b849d19684c18c138cf13e29dbadc776f4bc2a56b477680ef546b39ac3f71"},
		{1048576, "53738d98098cabba6e0d7ac36b8c10ff", "74cb441fd087764ca9c3694da742ebe30cbeb3060a17009ca81825c7a8d10343"},
		{1048577, "4ec6108b776edaa23bdf780cf922bc1b", "2f053cd7472cf0cd2f9adaf45c1180255b91b9a865404a63671a0ee5f792ed33"},
		{2097152, "41ab0afed348e970d18d253b3ef5de45", "96fbba37478c16b7614c890b26832f67b541cf14e69ab8ebf0c739818588c9f1"},
		{2097153, "1a1fb8c5dff98c61dea6e46b35d235ab", "52dc212cb4cc61cb94d25bd7b1d47b256e4c3a6d68956df50c235c37a2aeacd7"},
		{3145728, "02dd4a0d81d427e4259c7345e0c0aab4", "c9e03344ea01f416e5fd2c4aa87b32f2b13e731d034be31898de3ce251926b1c"},
		{5000000, "d206eec12dd91400d2bbde6ae092c55c", "1ab09ef1af116159d8d394fc5a13c25842753b617048329dc8874051d1b9e171"},
		{7340033, "887e3432ae2605cdebe26f7c8b3e09c9", "3f93485119fc368bc8dde47c605afa5b98626261f02f391c13f0b4d8a937e6a4"},
		{17825792, "683dd6011972356934c1a188eaeccaba", "f3d446738b74923976d3c63e677bd54d88880aa412bd2e5c82c0a90e9b5fd766"},
	}
}

type vector struct {
	size         int
	xxh3, blake3 string
}

func (v vector) of(a Algorithm, data []byte) string {
	switch a {
	case XXH3:
		return v.xxh3
	case BLAKE3:
		return v.blake3
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func TestKnownDigests(t *testing.T) {
	for _, v := range vectors() {
		data := counting(v.size)
		for _, a := range Algorithms() {
			got, size, err := Of(a, bytes.NewReader(data))
			if want := v.of(a, data); got != want || size != int64(v.size) || err != nil {
				t.Errorf("%s of %d bytes: %s, %d bytes, %v; want %s", a, v.size, got, size, err, want)
			}
			f := New(a, int64(v.size))
			f.Add(0, data)
			if got, ok := f.Sum(); ok == a.InOrder() || ok && got != v.of(a, data) {
				t.Errorf("%s of a File of %d bytes: %s, %t; want %s", a, v.size, got, ok, v.of(a, data))
			}
			if got, err := f.Finish(bytes.NewReader(data)); got != v.of(a, data) || err != nil {
				t.Errorf("%s of a finished File of %d bytes: %s, %v; want %s", a, v.size, got, err, v.of(a, data))
			}
		}
	}
}

// TestReaders holds that it makes no difference how a reader gives its bytes, and
// that its error is not taken for its end.
func TestReaders(t *testing.T) {
	v := vectors()[len(vectors())-3]
	data := counting(v.size)
	for _, a := range Algorithms() {
		for name, r := range map[string]io.Reader{
			"half reads":    iotest.HalfReader(bytes.NewReader(data)),
			"data with EOF": iotest.DataErrReader(bytes.NewReader(data)),
		} {
			if got, _, err := Of(a, r); got != v.of(a, data) || err != nil {
				t.Errorf("%s, %s: %s, %v", a, name, got, err)
			}
		}
		for _, fault := range []error{errors.New("medium error"), io.ErrUnexpectedEOF} {
			r := io.MultiReader(bytes.NewReader(data), iotest.ErrReader(fault))
			if _, _, err := Of(a, r); !errors.Is(err, fault) {
				t.Errorf("%s: error %v, want %v", a, err, fault)
			}
		}
	}
}

func TestParse(t *testing.T) {
	for _, a := range Algorithms() {
		if got, err := Parse(string(a)); got != a || err != nil {
			t.Errorf("%q: %q, %v", a, got, err)
		}
	}
	if a := Algorithms()[0]; a != Default {
		t.Errorf("the first algorithm is %s, the default %s", a, Default)
	}
	for _, name := range []string{"", "md5", "SHA256"} {
		if _, err := Parse(name); err == nil || !strings.Contains(err.Error(), "choose one of xxh3-128, blake3, sha256") {
			t.Errorf("%q: error %v", name, err)
		}
	}
}

// BenchmarkBlock hashes whole blocks out of memory that is larger than caches
// mostly are.
func BenchmarkBlock(b *testing.B) {
	data := counting(256 * BlockSize)
	for _, a := range []Algorithm{XXH3, BLAKE3} {
		for _, piece := range []int{BlockSize, 64 << 10} {
			b.Run(string(a)+"/pieces="+strconv.Itoa(piece>>10)+"KiB", func(b *testing.B) {
				f := New(a, int64(len(data)))
				b.SetBytes(BlockSize)
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					at := i % 256 * BlockSize
					for from := at; from < at+BlockSize; from += piece {
						f.Add(int64(from), data[from:from+piece])
					}
				}
			})
		}
	}
}

// BenchmarkOf hashes whole streams.
func BenchmarkOf(b *testing.B) {
	data := counting(256 * BlockSize)
	for _, a := range Algorithms() {
		b.Run(string(a), func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := Of(a, bytes.NewReader(data)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
