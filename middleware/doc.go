// Package middleware holds what every HTTP request passes on its way to a
// command, one middleware a file: request id, log, recover, host guard, origin
// guard, authenticate, capture, limits. None of them reads a body, and none
// wraps the ResponseWriter: the gateway reports what it did to the slot that
// Capture left in the context.
package middleware
