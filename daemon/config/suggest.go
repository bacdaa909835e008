package config

import (
	"fmt"
	"slices"

	"ctsync/daemon/conntrackd"
	"ctsync/daemon/flow"
)

// tables are the keys of every table of the file, and how a message says where the table is.
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

// unknownHint says which key was probably meant by an unknown one: what stands here for a word of conntrackd.conf, a
// similar key of the same table, or one of another table. It is "" if none is similar.
func unknownHint(name string, keys []key, more []string) string {
	for _, t := range tables {
		if slices.Contains(t.keys, name) {
			return ": it belongs " + t.where
		}
	}
	if hint := conntrackd.Hint(name); hint != "" {
		return hint
	}
	if near := flow.Nearest(name, append(names(keys), more...)); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	for _, t := range tables {
		if near := flow.Nearest(name, t.keys); near != "" {
			return fmt.Sprintf("; did you mean %q %s?", near, t.where)
		}
	}
	return ""
}
