package api

import (
	"encoding/base64"
	"strings"
)

// TokenPrefix is the prefix of run tokens (the credentials of trigger scripts)
// and API tokens: jst.<user, base64url>.<random, base64url>. The user in it is
// only a hint for clients; the server looks up the whole token.
const TokenPrefix = "jst."

// TokenUser returns the user named in a token, "" for that of a launch script,
// which has no user. ok is false if token does not have the form of one.
func TokenUser(token string) (user string, ok bool) {
	rest, ok := strings.CutPrefix(token, TokenPrefix)
	if !ok {
		return "", false
	}
	middle, random, ok := strings.Cut(rest, ".")
	if !ok || random == "" || strings.Contains(random, ".") {
		return "", false
	}
	b, err := base64.RawURLEncoding.DecodeString(middle)
	if err != nil {
		return "", false
	}
	return string(b), true
}
