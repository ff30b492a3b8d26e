// Package docs holds the tests of these pages: that each sentence of the
// contract names the tests that hold it, and that each protection of
// internals/hazards.md is missed by its test when it is gone.
package docs
