package tui

import (
	"strings"
)

// column is one column of a grid.
type column struct {
	name  string
	sort  string // the daemon's word for sorting by it; "" = it cannot
	least int    // width below which the column is useless
	most  int    // width of the widest value
	right bool   // aligned to the right
	rank  int    // where there is no room, columns with the highest rank go first; rank 0 stays
	line  int    // of a card
	lead  sign   // in front of the value on a card; 0 = none

	fit func(l look, text string, width int) string // shortens a value that is too wide; nil cuts its end
}

// cell is a value with its paint.
type cell struct {
	text string
	in   paint
}

// cardLines is the height of a card. Columns of cardRank and above are not on it.
const (
	cardLines = 3
	cardRank  = 4
)

// grid is columns fitted into the terminal's width. If not even the columns of rank 0 fit, each row becomes a card.
type grid struct {
	columns []column
	widths  []int // of columns; 0 = not shown
	card    bool
	width   int
	sorted  string // the column's word by which the rows are sorted
	desc    bool
}

// fitGrid chooses columns and widths. The terminal's first two columns mark the selected row.
func fitGrid(columns []column, width int) grid {
	g := grid{columns: columns, widths: make([]int, len(columns)), width: width}
	// Columns of cardRank and above are shown only if all others are whole. Those get narrower before they are dropped.
	for i, c := range columns {
		g.widths[i] = c.whole()
	}
	for g.used() > width && g.drop(cardRank) {
	}
	for i, c := range columns {
		g.widths[i] = min(g.widths[i], c.least)
	}
	for g.used() > width {
		if !g.drop(1) {
			g.card = true
			return g
		}
	}
	// The room left over makes columns whole. What then remains goes to the addresses in turn: both are cut alike.
	free := width - g.used()
	for i, c := range columns {
		if more := min(c.whole()-g.widths[i], free); g.widths[i] > 0 && more > 0 {
			g.widths[i], free = g.widths[i]+more, free-more
		}
	}
	for grew := true; free > 0 && grew; {
		grew = false
		for i, c := range columns {
			if g.widths[i] > 0 && g.widths[i] < c.most && free > 0 {
				g.widths[i]++
				free--
				grew = true
			}
		}
	}
	return g
}

// whole is the width that a column needs. For addresses, which vary a lot, it is the least width.
func (c *column) whole() int {
	if c.most-c.least > 6 {
		return c.least
	}
	return c.most
}

// drop removes the column with the highest rank, if that is at least rank. It reports whether there was one.
func (g *grid) drop(rank int) bool {
	at := -1
	for i, c := range g.columns {
		if g.widths[i] > 0 && c.rank >= rank && (at < 0 || c.rank > g.columns[at].rank) {
			at = i
		}
	}
	if at >= 0 {
		g.widths[at] = 0
	}
	return at >= 0
}

// used is the width of the marker and of the columns, with a blank before each.
func (g *grid) used() int {
	n := 1
	for _, w := range g.widths {
		if w > 0 {
			n += w + 1
		}
	}
	return n
}

// height is the number of lines of a row.
func (g *grid) height() int {
	if g.card {
		return cardLines
	}
	return 1
}

// head draws the names of the columns. The one that the rows are sorted by has an arrow.
func (g *grid) head(l look) string {
	if g.card {
		for _, c := range g.columns {
			if c.sort != "" && c.sort == g.sorted {
				return l.in(faint, "by ") + l.in(accent, c.name+l.arrow(g.desc))
			}
		}
		return ""
	}
	var b strings.Builder
	b.WriteString(" ")
	for i, c := range g.columns {
		if g.widths[i] == 0 {
			continue
		}
		name, in := c.name, faint
		if c.sort != "" && c.sort == g.sorted {
			name, in = c.name[:min(len(c.name), g.widths[i]-1)]+l.arrow(g.desc), accent
		}
		b.WriteString(" " + l.in(in, l.pad(name, g.widths[i], c.right)))
	}
	return b.String()
}

// arrow points up if the smallest value is on top.
func (l look) arrow(desc bool) string {
	if desc {
		return l.sign(signDown)
	}
	return l.sign(signUp)
}

// at returns the column at x of the terminal, or -1.
func (g *grid) at(x int) int {
	if g.card {
		return -1
	}
	from := 2
	for i, w := range g.widths {
		if w > 0 && x >= from && x < from+w {
			return i
		}
		if w > 0 {
			from += w + 1
		}
	}
	return -1
}

// row draws a row with a mark in front: one line, or the lines of a card.
func (g *grid) row(l look, cells []cell, mark string, chosen bool) []string {
	if g.card {
		return g.cardOf(l, cells, mark, chosen)
	}
	var b strings.Builder
	b.WriteString(l.pad(mark, 1, false))
	for i, c := range cells {
		if g.widths[i] == 0 {
			continue
		}
		text := l.pad(g.fitted(l, i, c.text, g.widths[i]), g.widths[i], g.columns[i].right)
		if !chosen {
			text = l.in(c.in, text)
		}
		b.WriteString(" " + text)
	}
	if chosen {
		return []string{l.in(selected, l.pad(b.String(), g.width, false))}
	}
	return []string{b.String()}
}

func (g *grid) fitted(l look, i int, text string, width int) string {
	if fit := g.columns[i].fit; fit != nil {
		return fit(l, text, width)
	}
	return l.cut(text, width)
}

func (g *grid) cardOf(l look, cells []cell, mark string, chosen bool) []string {
	lines := make([]string, cardLines)
	for n := range lines {
		text := l.pad(mark, 1, false)
		if n > 0 {
			text = " "
		}
		var parts []string
		for i, c := range g.columns {
			if c.line == n && cells[i].text != "" && (c.rank < cardRank || c.sort != "" && c.sort == g.sorted) {
				part := cells[i].text
				if c.lead != 0 {
					part = l.sign(c.lead) + " " + part
				}
				parts = append(parts, g.fitted(l, i, part, max(g.width-2, 1)))
			}
		}
		text += " " + strings.Join(parts, " ")
		if chosen {
			text = l.in(selected, l.pad(text, g.width, false))
		}
		lines[n] = text
	}
	return lines
}
