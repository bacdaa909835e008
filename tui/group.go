package tui

import (
	"slices"
	"strconv"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"ctsync/daemon/control"
)

// groupKeys are the groupings in the order in which the user goes through them.
var groupKeys = []string{"", "source", "destination", "port", "protocol", "state", "source-network", "zone"}

func (t *table) takeGroups(a answer[control.Groups]) {
	if fresh(&t.reading, a, t.every(a.err)) {
		t.replaceGroups(a.value)
	}
	t.sized()
}

// replaceGroups shows other groups. The selected one stays selected.
func (t *table) replaceGroups(g control.Groups) {
	was, key := t.list.cursor, ""
	if was < len(t.groups.Groups) {
		key = t.groups.Groups[was].Key
	}
	t.groups, t.stale = g, false
	if was > 0 || t.list.top > 0 {
		if i := slices.IndexFunc(g.Groups, func(g control.Group) bool { return g.Key == key }); i >= 0 {
			t.list.cursor, t.list.top = i, max(t.list.top+i-was, 0)
		}
	}
}

// groupBy goes to the next grouping, or with step -1 to the one before.
func (t *table) groupBy(step int) tea.Cmd {
	i := slices.Index(groupKeys, t.group)
	t.group = groupKeys[(i+step+len(groupKeys))%len(groupKeys)]
	t.other()
	return t.again()
}

// openGroup lists the flows of the selected group, by adding it to the filter.
func (t *table) openGroup() tea.Cmd {
	if t.list.cursor >= len(t.groups.Groups) {
		return nil
	}
	term := groupTerm(t.group, t.groups.Groups[t.list.cursor].Key)
	text := term
	if t.filter != nil {
		text = "(" + t.filterText + ") " + term
	}
	t.group = ""
	t.other()
	return t.filterBy(text)
}

// groupTerm is the filter for the flows of a group.
func groupTerm(by, key string) string {
	switch by {
	case "source", "source-network":
		return "src:" + key
	case "destination", "destination-network":
		return "dst:" + key
	case "protocol":
		return "proto:" + key
	case "port":
		proto, port, has := strings.Cut(key, "/")
		if !has {
			return "proto:" + proto
		}
		return "proto:" + proto + " dport:" + port
	case "state":
		proto, state, has := strings.Cut(key, " ")
		if !has {
			return "proto:" + proto
		}
		return "proto:" + proto + " state:" + strings.ToLower(state)
	}
	return by + ":" + key
}

// groupColumns returns the columns of groups. Packets and bytes are there if the table counts them: caches do not.
func (t *table) groupColumns() []column {
	widest := 20
	for i := range t.groups.Groups {
		widest = max(widest, len(t.groups.Groups[i].Key))
	}
	columns := []column{
		{name: strings.ToUpper(t.group), sort: "key", least: 15, most: widest, line: 0, fit: fitEndpoint},
		{name: "FLOWS", sort: "flows", least: 9, most: 9, right: true, line: 1},
		{name: "SHARE", least: 6, most: 6, right: true, rank: 1, line: 1},
		{name: "", least: 10, most: 24, rank: 3, line: 2},
	}
	if t.groups.Bytes > 0 {
		columns = append(columns,
			column{name: "PACKETS", sort: "packets", least: 9, most: 9, right: true, rank: 5, line: 1},
			column{name: "BYTES", sort: "bytes", least: 9, most: 9, right: true, rank: 4, line: 1})
	}
	return columns
}

// groupCells returns the values of the i-th group. The largest group has a bar of full length.
func (t *table) groupCells(i, bar int) []cell {
	all := &t.groups
	g := &all.Groups[i]
	most := uint64(1)
	for k := range all.Groups {
		most = max(most, all.Groups[k].Flows)
	}
	percent := 100 * float64(g.Flows) / float64(max(all.Flows, 1))
	stroke := "█"
	if t.look.ascii {
		stroke = "#"
	}
	return []cell{
		{g.Key, plain},
		{t.units.count(g.Flows), plain},
		{strconv.FormatFloat(percent, 'f', 1, 64) + "%", plain},
		{strings.Repeat(stroke, int((g.Flows*uint64(max(bar, 0))+most-1)/most)), accent},
		{t.units.count(g.Packets), plain},
		{t.units.size(g.Bytes), plain},
	}
}
