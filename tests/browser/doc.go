// Package browser holds the tests of the pages in a real browser. It is in a
// module of its own, so that the program does not depend on what drives one.
package browser
