package flow

import "strings"

// Nearest returns the candidate that was probably meant by name: it may differ in case, in underscores for dashes, and
// in one or two typing errors. It returns "" if no candidate is that near.
func Nearest(name string, candidates []string) string {
	plain := plainly(name)
	if len(plain) > 64 {
		return ""
	}
	best, bestDistance := "", 3
	for _, c := range candidates {
		d := distance(plain, plainly(c))
		if d < bestDistance && d*3 <= len(c) { // a word of four letters with two errors is another word
			best, bestDistance = c, d
		}
	}
	return best
}

// plainly returns a name as Nearest compares it.
func plainly(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "-")) }

// distance returns how many bytes must be inserted, deleted, changed or swapped with the next one to turn a into b.
func distance(a, b string) int {
	before, above, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before, above, row = above, row, before
		row[0] = i + 1
		for j := range len(b) {
			substitute := above[j]
			if a[i] != b[j] {
				substitute++
			}
			row[j+1] = min(substitute, above[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(b)]
}
