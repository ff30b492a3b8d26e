// Package house holds the house rules as tests: who may import whom, and the
// habits of ARCHITECTURE.md and CONTRIBUTING.md that a program can check. It
// has no code outside its tests, so nothing of it is in the product.
//
// The rules read every Go file of the module with go/parser and whatever its
// build tags, so a Windows file is held to them on Linux as well. Each rule is
// itself tested against a small tree in testdata that breaks it.
package house
