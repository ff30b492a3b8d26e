package receiver

import (
	"strings"
	"unicode"

	"github.com/zeebo/xxh3"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// fold returns a hash of a slash-separated path, never 0. It is the same for
// all paths that some file system takes for one: which differ in case, in the
// Unicode form, in accents and invisible characters, or in the dots and spaces
// at the end of a part. Other paths may have the same one too: whether two names
// are one file is for the file system to say.
func fold(name string) int64 {
	caser := cases.Fold()
	var b strings.Builder
	for part := range strings.SplitSeq(name, "/") {
		part = norm.NFKD.String(caser.String(strings.ToUpper(norm.NFKD.String(part))))
		part = strings.Map(func(r rune) rune {
			if unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf) {
				return -1
			}
			return r
		}, part)
		b.WriteString(strings.TrimRight(part, ". "))
		b.WriteByte('/')
	}
	if h := int64(xxh3.HashString(b.String())); h != 0 {
		return h
	}
	return 1
}
