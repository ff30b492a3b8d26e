// Package middleware holds what a request passes on its way to a command, one
// middleware a file; the gateway lists them in their order. Those from Decode
// on share a Call in the request's context. Decode alone reads bodies, and
// Capture and Idempotency alone wrap the ResponseWriter: they act before the
// first byte of a reply goes out.
package middleware
