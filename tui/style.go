package tui

import (
	"io"
	"strings"

	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/x/ansi"
	"github.com/muesli/termenv"

	"ctsync/tui/printable"
)

// paint says what a piece of text is. How that looks is up to the look.
type paint uint8

// Paints. Each has a second cue beside its colour, a word or a sign, so that nothing is lost without colours.
const (
	plain    paint = iota
	title          // name of a section
	faint          // labels, and what matters less
	good           // the words say so
	warn           // the words say so, or "!" in front
	bad            // the words say so, or "!" in front
	accent         // what the eye looks for first: a key, the column that sorts
	selected       // a sign in front
	tab            // the shown view; brackets
	paints
)

// styles are the looks of each paint, without and with colours. The colours are from the first eight: every terminal
// has them, and users choose them to be readable.
func styles() [paints][2]lipgloss.Style {
	r := lipgloss.NewRenderer(io.Discard)
	r.SetColorProfile(termenv.ANSI)
	none := r.NewStyle()
	bold, reverse := none.Bold(true), none.Reverse(true)
	colour := func(n uint) lipgloss.Style { return none.Foreground(lipgloss.ANSIColor(n)) }
	return [paints][2]lipgloss.Style{
		plain: {none, none}, title: {bold, bold}, faint: {none.Faint(true), none.Faint(true)},
		good: {none, colour(2)}, warn: {bold, colour(3)}, bad: {bold, colour(1).Bold(true)},
		accent: {bold, colour(6)}, selected: {reverse, reverse}, tab: {reverse, reverse},
	}
}

// styled are the styles of all paints.
var styled = styles()

// painted are the sequences before and after a text of each paint. A frame has some hundred painted texts. To render a
// lipgloss style for each takes longer than the rest of the frame.
var painted = func() (table [paints][2][2]string) {
	for p, s := range styled {
		for i := range s {
			table[p][i][0], table[p][i][1], _ = strings.Cut(s[i].Render("x"), "x")
		}
	}
	return table
}()

// unsteered returns a line of a frame, painted or not, in which nothing steers the terminal but our own paint.
func unsteered(line string) string {
	if !strings.Contains(line, "\x1b") {
		return printable.Text(line)
	}
	var b strings.Builder
	for line != "" {
		text, rest := line, ""
		if at := strings.IndexByte(line, '\x1b'); at >= 0 {
			text, rest = line[:at], line[at:]
		}
		b.WriteString(printable.Text(text))
		n := paintAt(rest)
		if n == 0 && rest != "" {
			n = 1
			b.WriteString(printable.Text(rest[:1]))
		} else {
			b.WriteString(rest[:n])
		}
		line = rest[n:]
	}
	return b.String()
}

// paintAt returns the length of the sequence of ours that text begins with, 0 if there is none.
func paintAt(text string) int {
	for p := range painted {
		for _, around := range painted[p] {
			for _, sequence := range around {
				if sequence != "" && strings.HasPrefix(text, sequence) {
					return len(sequence)
				}
			}
		}
	}
	return 0
}

// look is what this terminal can show.
type look struct {
	colour bool // otherwise only bold, faint and reverse
	ascii  bool // no other characters
}

// in paints text, which must not be painted yet.
func (l look) in(p paint, text string) string {
	around := painted[p][0]
	if l.colour {
		around = painted[p][1]
	}
	if text == "" {
		return ""
	}
	return around[0] + text + around[1]
}

// sign is a character with a substitute for ASCII terminals.
type sign uint8

// Signs.
const (
	signCursor sign = iota + 1
	signUp
	signDown
	signArrow
	signDot
	signMore // something is cut off
	signGone
	signWait // not read yet
)

var signs = map[sign][2]string{
	signCursor: {"▸", ">"}, signUp: {"▲", "^"}, signDown: {"▼", "v"}, signArrow: {"→", ">"}, signDot: {"·", "-"},
	signMore: {"…", "~"}, signGone: {"†", "x"}, signWait: {"·", "."},
}

// sign returns a character that this terminal has.
func (l look) sign(s sign) string {
	if l.ascii {
		return signs[s][1]
	}
	return signs[s][0]
}

// mark is the sign in front of a selected row, and "" for other rows.
func (l look) mark(chosen bool) string {
	if chosen {
		return l.sign(signCursor)
	}
	return ""
}

// cut shortens text to width columns, with a sign where something is missing. Text may be painted.
func (l look) cut(text string, width int) string {
	if width <= 0 {
		return ""
	}
	return ansi.Truncate(text, width, l.sign(signMore))
}

// pad makes text width columns wide: it adds blanks, on the left if right is set, or cuts it.
func (l look) pad(text string, width int, right bool) string {
	n := ansi.StringWidth(text)
	switch {
	case n > width:
		return l.cut(text, width)
	case right:
		return strings.Repeat(" ", width-n) + text
	}
	return text + strings.Repeat(" ", width-n)
}

// wrap breaks text into lines of at most width columns, between words if possible.
func wrap(text string, width int) []string {
	return strings.Split(ansi.Wrap(text, max(width, 1), ""), "\n")
}

// width is the number of columns of text, painted or not.
func width(text string) int { return ansi.StringWidth(text) }
