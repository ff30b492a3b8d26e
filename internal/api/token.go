package api

import (
	"encoding/base64"
	"strings"
)

// TokenPrefix begins every run token, the credential that a trigger script
// carries: jst.<user, base64url>.<random, base64url>. The middle only tells a
// client whose token it is; the server trusts nothing but the whole.
const TokenPrefix = "jst."

// TokenUser reads from a run token the user that it acts as; "" for the token
// of a launch script, which has no user. ok is false for any other text.
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
