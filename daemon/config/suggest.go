package config

import (
	"fmt"
	"slices"
	"strings"
)

// unknownHint says what an unknown key probably meant: a key of the same table spelt otherwise, or one of another table.
func unknownHint(name string, keys []key, more []string) string {
	for _, t := range tables {
		if slices.ContainsFunc(t.keys, func(k key) bool { return k.name == name }) {
			return ": it belongs in " + t.name
		}
	}
	candidates := slices.Clone(more)
	for _, k := range keys {
		candidates = append(candidates, k.name)
	}
	if near := nearest(name, candidates); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	for _, t := range tables {
		var names []string
		for _, k := range t.keys {
			names = append(names, k.name)
		}
		if near := nearest(name, names); near != "" {
			return fmt.Sprintf("; did you mean %q in %s?", near, t.name)
		}
	}
	return ""
}

// nearest returns the candidate that differs from name by case, by underscores for dashes, or by a slip or two of the
// fingers; "" when none is near.
func nearest(name string, candidates []string) string {
	plain := strings.ToLower(strings.ReplaceAll(name, "_", "-"))
	if len(plain) > 64 {
		return ""
	}
	best, bestDistance := "", 3
	for _, c := range candidates {
		d := distance(plain, c)
		if d < bestDistance && d*3 <= len(c) { // two slips in a word of four letters are another word
			best, bestDistance = c, d
		}
	}
	return best
}

// distance is the Levenshtein distance of a and b in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			substitute := diagonal
			if a[i] != b[j] {
				substitute++
			}
			diagonal = row[j+1]
			row[j+1] = min(substitute, diagonal+1, row[j]+1)
		}
	}
	return row[len(b)]
}
