package receiver

import (
	"encoding/hex"
	"strings"

	"crypto/sha256"

	"jetstream/internal/account"
	"jetstream/internal/api"
)

// Limits of names, in bytes.
const (
	maxName      = 4096
	maxComponent = 255
)

// stagingPrefix is the prefix of the names of directories with part files.
const stagingPrefix = ".jetstream-"

// stagingName returns the name of the directory for the part files of a
// transfer. It depends on the key of the sending server, since ids are only
// unique per server.
func stagingName(sourcePublicKey, transferID string) string {
	sum := sha256.Sum256([]byte(sourcePublicKey))
	return stagingPrefix + transferID + "-" + hex.EncodeToString(sum[:4])
}

// isStaging reports whether a file name has the form of stagingName. Such names
// are reserved for the receiver.
func isStaging(name string) bool {
	rest, ok := strings.CutPrefix(strings.ToLower(name), stagingPrefix)
	return ok && len(rest) == 32+1+8 && api.IsID(rest[:32])
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
		case isStaging(part):
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
