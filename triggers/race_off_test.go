//go:build !race

package triggers_test

// underRace reports whether the race detector is on, which makes tests slower.
const underRace = false
