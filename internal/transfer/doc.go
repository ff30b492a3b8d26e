// Package transfer manages destinations, manifests and transfers. All changes
// of their states go through one function, move, which saves the change and its
// event in one transaction.
//
// Package wire is the protocol between two servers, package sender sends
// pending transfers, and package receiver receives them.
package transfer
