package receiver

import (
	"encoding/hex"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"crypto/sha256"

	"jetstream/internal/account"
	"jetstream/internal/transfer"
)

// Limits of names, in bytes.
const (
	maxName      = 4096
	maxComponent = 255
)

// stagingName returns the name of the directory for the part files of a
// transfer. It depends on the key of the sending server, since ids are only
// unique per server.
func stagingName(sourcePublicKey, transferID string) string {
	sum := sha256.Sum256([]byte(sourcePublicKey))
	return transfer.StagingPrefix + transferID + "-" + hex.EncodeToString(sum[:4])
}

// checkName returns what is wrong with the name of an entry, worded to follow
// it in a message, or "". Names are slash-separated, begin with a slash, and
// must be clean.
func checkName(name string, windows bool) string {
	switch {
	case len(name) > maxName:
		return "is longer than 4096 bytes"
	case strings.IndexByte(name, 0) >= 0:
		return "holds a NUL byte"
	case !strings.HasPrefix(name, "/"):
		return "does not begin with /"
	}
	for part := range strings.SplitSeq(name[1:], "/") {
		switch {
		case part == "":
			return "has an empty part"
		case part == "." || part == "..":
			return "must not contain . or .."
		case len(part) > maxComponent:
			return "has a part longer than 255 bytes"
		case transfer.IsStaging(part):
			return "has a part that is reserved for unfinished transfers"
		}
		if windows {
			if wrong := account.WindowsNameFault(part); wrong != "" {
				return "has a part that " + wrong
			}
		}
	}
	return ""
}

// maxEnding is how many bytes the ending of a file name has at most, with its
// dots. What follows a dot and is longer belongs to the name.
const maxEnding = 16

// splitEnding splits a file name before its ending, such as ".mov" or
// ".tar.gz", which is empty if the name has none: in ".profile", "1. act" or
// "a.". The ending is
// letters and digits of any alphabet.
func splitEnding(name string) (stem, ending string) {
	ending = path.Ext(name)
	if !isEnding(ending) || len(ending) == len(name) {
		return name, ""
	}
	stem = strings.TrimSuffix(name, ending)
	if inner := path.Ext(stem); strings.EqualFold(inner, ".tar") && len(inner) < len(stem) && len(inner+ending) <= maxEnding {
		return strings.TrimSuffix(stem, inner), inner + ending
	}
	return stem, ending
}

func isEnding(s string) bool {
	if len(s) < 2 || len(s) > maxEnding || !utf8.ValidString(s) {
		return false
	}
	for _, c := range s[1:] {
		if !unicode.In(c, unicode.L, unicode.M, unicode.N) && c != '_' && c != '-' {
			return false
		}
	}
	return true
}
