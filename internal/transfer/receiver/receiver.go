// Package receiver writes what other servers send below the user's sandbox.
package receiver

// Receiver accepts connections of sending servers. Safe for concurrent use.
type Receiver struct{}
