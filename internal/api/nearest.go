package api

import "strings"

// Nearest returns the candidate that is most similar to name, or "" if none is
// similar enough to be a typing error. A name without a dot is compared with what
// follows a candidate's dot as well. It is for "did you mean".
func Nearest(name string, candidates []string) string {
	best, bestDistance := "", len(name)/3+2
	consider := func(form, candidate string) {
		if len(name)-len(form) >= bestDistance || len(form)-len(name) >= bestDistance {
			return // cheap, also for a name of megabytes
		}
		if d := distance(strings.ToLower(name), strings.ToLower(form)); d < bestDistance {
			best, bestDistance = candidate, d
		}
	}
	for _, c := range candidates {
		if strings.EqualFold(name, c) {
			return c
		}
		consider(c, c)
	}
	if strings.Contains(name, ".") {
		return best
	}
	for _, c := range candidates {
		if i := strings.LastIndexByte(c, '.'); i >= 0 {
			consider(c[i+1:], c)
		}
	}
	return best
}

// distance returns the Levenshtein distance of a and b in bytes, in time
// len(a)*len(b).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		previous := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := previous
			if a[i] != b[j] {
				cost = 1 + min(previous, row[j], row[j+1])
			}
			previous, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
