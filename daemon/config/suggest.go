package config

import (
	"fmt"
	"slices"
	"strings"
)

// tables are all tables of the file, and where each is.
var tables = []struct {
	where string
	keys  []string
}{
	{"at the top of the file, before the first [table]", names(topKeys)},
	{"in " + vrrpTable, names(vrrpKeys)},
	{"in " + interfaceTable, names(interfaceKeys)},
}

func names(keys []key) []string {
	list := make([]string, len(keys))
	for i, k := range keys {
		list[i] = k.name
	}
	return list
}

// unknownHint says what an unknown key probably meant: a key of the same table spelt otherwise, or one of another table.
func unknownHint(name string, keys []key, more []string) string {
	for _, t := range tables {
		if slices.Contains(t.keys, name) {
			return ": it belongs " + t.where
		}
	}
	if near := nearest(name, append(names(keys), more...)); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	for _, t := range tables {
		if near := nearest(name, t.keys); near != "" {
			return fmt.Sprintf("; did you mean %q %s?", near, t.where)
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
