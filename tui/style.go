package tui

import (
	"io"
	"strings"

	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/x/ansi"
	"github.com/muesli/termenv"
)

// paint is what a piece of text is, not how it looks: a look decides that.
type paint uint8

// Paints. Each has a second cue beside its colour, in words or in a sign, so that nothing is lost without colours.
const (
	plain    paint = iota
	title          // of a section
	faint          // labels and what is of less interest
	good           // said in words
	warn           // said in words or marked by "!"
	bad            // said in words or marked by "!"
	accent         // what the eye looks for first: a key, a sorted column
	selected       // marked by a sign in front
	tab            // the view that is shown, marked by brackets
	paints
)

// styles are how each paint looks without and with colours. The colours are the first eight, which every terminal has and
// every user has chosen to be readable.
func styles() [paints][2]lipgloss.Style {
	r := lipgloss.NewRenderer(io.Discard)
	r.SetColorProfile(termenv.ANSI)
	none := r.NewStyle()
	bold, reverse := none.Bold(true), none.Reverse(true)
	colour := func(n uint) lipgloss.Style { return none.Foreground(lipgloss.ANSIColor(n)) }
	return [paints][2]lipgloss.Style{
		plain: {none, none}, title: {bold, bold}, faint: {none.Faint(true), none.Faint(true)}, good: {none, colour(2)},
		warn: {bold, colour(3)}, bad: {bold, colour(1).Bold(true)}, accent: {bold, colour(6)}, selected: {reverse, reverse}, tab: {reverse, reverse},
	}
}

// styled are the styles of all paints.
var styled = styles()

// painted is what a terminal gets before and after a text of each paint. A frame has some hundred painted texts, and
// rendering a style anew for each takes longer than all the rest of it.
var painted = func() (table [paints][2][2]string) {
	for p, s := range styled {
		for i := range s {
			table[p][i][0], table[p][i][1], _ = strings.Cut(s[i].Render("x"), "x")
		}
	}
	return table
}()

// look is how this terminal shows things.
type look struct {
	colour bool // else bold, faint and reverse only
	ascii  bool // the terminal has no other characters
}

// in paints text. Text that was painted before is not to be painted again.
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

// sign is a character with a substitute for terminals that have ASCII only.
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

// mark is what stands in front of a row that is selected or not.
func (l look) mark(chosen bool) string {
	if chosen {
		return l.sign(signCursor)
	}
	return ""
}

// cut shortens text to width columns and marks the loss. Text may be painted.
func (l look) cut(text string, width int) string {
	if width <= 0 {
		return ""
	}
	return ansi.Truncate(text, width, l.sign(signMore))
}

// pad fills text with blanks up to width columns, on the left when right is set, or cuts it.
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

// wrap breaks text into lines of at most width columns, between words where it can.
func wrap(text string, width int) []string {
	return strings.Split(ansi.Wrap(text, max(width, 1), ""), "\n")
}

// width is the number of columns that text takes, painted or not.
func width(text string) int { return ansi.StringWidth(text) }
