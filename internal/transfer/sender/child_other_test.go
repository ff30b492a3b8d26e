//go:build !linux && !darwin

package sender_test

// childState is the environment variable of a child process of a test, of which there are
// none here.
const childState = "JETSTREAM_TEST_STATE"

func child() int { return 1 }
