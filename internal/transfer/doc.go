// Package transfer is the engine: destinations, manifests and transfers, their
// states, and the one function that changes a state (move), which saves the
// change and the event that belongs to it in one transaction.
//
// Bytes are moved by the inner rooms: wire speaks the protocol, sender sends
// what is pending here, receiver writes what arrives.
package transfer
