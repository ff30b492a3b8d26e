package server

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain lets tests start this binary again as another user, see roles.
func TestMain(m *testing.M) {
	if role := roles[os.Getenv("SERVER_TEST_ROLE")]; role != nil {
		role(os.Getenv("SERVER_TEST_PATH"))
		return
	}
	goleak.VerifyTestMain(m)
}
