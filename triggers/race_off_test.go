//go:build !race

package triggers_test

// underRace tells that everything, the database most, is many times slower.
const underRace = false
