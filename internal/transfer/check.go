package transfer

import (
	"fmt"
	"path"
	"strings"

	"jetstream/internal/account"
	"jetstream/internal/api"
)

// Limits of parameters.
const (
	maxPassword  = 1024 // bytes
	maxPath      = 4096 // bytes, of a source, a name or a destinationPath
	maxComponent = 255  // bytes between two slashes, what file systems take
	maxUserData  = 64   // entries of userData
	maxUserBytes = 16 << 10
)

// The limits of fileMappings: entries, and bytes of all sources and names.
const (
	MaxMappings     = 100_000
	MaxMappingBytes = 8 << 20
)

// invalidField returns an invalid error about one parameter.
func invalidField(field, rule, format string, args ...any) error {
	return api.InvalidField(field, rule, fmt.Sprintf(format, args...))
}

func checkUserData(m map[string]string) error {
	if len(m) > maxUserData {
		return invalidField("userData", "max", "userData has %d entries; at most %d are kept", len(m), maxUserData)
	}
	total := 0
	for k, v := range m {
		total += len(k) + len(v)
	}
	if total > maxUserBytes {
		return invalidField("userData", "max", "userData has %d bytes; at most %d are kept", total, maxUserBytes)
	}
	return nil
}

func checkUsername(name string) error {
	if !account.ValidName(name) {
		return invalidField("username", "username",
			"%s is no name of a user: 1 to 64 letters, digits and . _ @ -, the first a letter, digit or _", api.Quote(name))
	}
	return nil
}

// cleanTarget cleans a destinationPath; an empty one becomes /.
func cleanTarget(p string) (string, error) {
	clean, err := cleanName(p)
	if err != nil {
		return "", invalidField("destinationPath", "path", "destinationPath %s %s", api.Quote(p), err)
	}
	return clean, nil
}

// nameError is what is wrong with a name, worded to follow it in a message.
type nameError string

func (e nameError) Error() string { return string(e) }

// cleanName cleans a slash-separated name for the receiver. The result begins
// with /. It refuses "..", and names that file systems do not allow.
func cleanName(p string) (string, error) {
	switch {
	case len(p) > maxPath:
		return "", nameError("is longer than 4096 bytes")
	case strings.IndexByte(p, 0) >= 0:
		return "", nameError("holds a NUL byte, which no file name can")
	}
	for part := range strings.SplitSeq(p, "/") {
		if err := checkComponent(part); err != nil {
			return "", err
		}
	}
	return path.Clean("/" + p), nil
}

func checkComponent(part string) error {
	switch {
	case part == "..":
		return nameError("must not contain ..")
	case len(part) > maxComponent:
		return nameError("has a part longer than 255 bytes, which file systems do not take")
	}
	return nil
}
