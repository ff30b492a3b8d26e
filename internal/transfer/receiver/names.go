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

// stagingPrefix begins the names of the directories that hold part files.
const stagingPrefix = ".jetstream-"

// stagingName is the directory for a transfer's part files. Ids are unique
// for each sending server only, so its key is part of the name.
func stagingName(sourcePublicKey, transferID string) string {
	sum := sha256.Sum256([]byte(sourcePublicKey))
	return stagingPrefix + transferID + "-" + hex.EncodeToString(sum[:4])
}

// isStaging tells whether a file name has the form of stagingName: what lies
// in such a directory is ours alone.
func isStaging(name string) bool {
	rest, ok := strings.CutPrefix(strings.ToLower(name), stagingPrefix)
	return ok && len(rest) == 32+1+8 && api.IsID(rest[:32])
}

// checkName says what is wrong with a name that a sender gave, to be put
// after it, or "". Names are slash-separated and begin with a slash; the
// sender is never trusted to have cleaned them.
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
