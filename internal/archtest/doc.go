// Package archtest holds, as tests, which package of this module may import
// which, and that each package has one package comment. It reads every Go file
// whatever its build tags, so that a Windows file is checked on Linux too. What
// a package may import from elsewhere is in .golangci.yml (depguard).
package archtest
