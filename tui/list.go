package tui

// list says which rows of a list are visible and which one is selected. All numbers are places in the whole list, also
// where only a part of it has been read.
type list struct {
	top, cursor int
	total       int
}

// move selects the row n further down; height rows are visible.
func (l list) move(n, height int) list {
	l.cursor += n
	return l.settled(height)
}

// settled keeps the selected row inside the list, and the visible rows around it.
func (l list) settled(height int) list {
	height = max(height, 1)
	l.cursor = max(min(l.cursor, l.total-1), 0)
	l.top = max(min(l.top, l.cursor), l.cursor-height+1, 0)
	l.top = max(min(l.top, l.total-height), 0)
	return l
}

// scrolled moves the visible rows by n. The selection changes only if it would leave them.
func (l list) scrolled(n, height int) list {
	height = max(height, 1)
	l.top = max(min(l.top+n, l.total-height), 0)
	l.cursor = max(min(l.cursor, l.top+height-1, l.total-1), l.top)
	return l
}

// visible returns the place of the first visible row, and that behind the last one.
func (l list) visible(height int) (from, to int) {
	return min(l.top, l.total), min(l.top+height, l.total)
}

// position says where in the list the selected row is.
func (l list) position(u units) string {
	if l.total == 0 {
		return "0"
	}
	return u.count(uint64(l.cursor)+1) + " of " + u.count(uint64(l.total))
}
