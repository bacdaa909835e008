package tui

import "strings"

// graphLength is how many values a series keeps: more than any terminal is wide is of no use.
const graphLength = 256

// series is the recent past of a rate, one value per refresh.
type series []float64

// add returns s with a value at its end. It copies: a model that was shown keeps what it showed.
func (s series) add(v float64) series {
	from := max(len(s)+1-graphLength, 0)
	return append(append(make(series, 0, graphLength), s[from:]...), v)
}

// last returns the newest value.
func (s series) last() float64 {
	if len(s) == 0 {
		return 0
	}
	return s[len(s)-1]
}

// most returns the greatest of the last n values.
func (s series) most(n int) (most float64) {
	for _, v := range s[max(len(s)-n, 0):] {
		most = max(most, v)
	}
	return most
}

// bars are the eight heights of a graph, and what terminals without them show.
const (
	bars      = "▁▂▃▄▅▆▇█"
	asciiBars = "_.,-=+*#"
)

// graph draws the last width values, the newest on the right; the tallest bar is the greatest of them, or least if they
// are all smaller. What happened at all is never drawn as nothing.
func (l look) graph(s series, width int, least float64) string {
	if width <= 0 {
		return ""
	}
	heights := []rune(bars)
	if l.ascii {
		heights = []rune(asciiBars)
	}
	most := max(s.most(width), least)
	s = s[max(len(s)-width, 0):]
	var b strings.Builder
	b.WriteString(strings.Repeat(" ", width-len(s)))
	for _, v := range s {
		at := 0
		if v > 0 {
			at = min(1+int(v/most*float64(len(heights)-1)), len(heights)-1)
		}
		b.WriteRune(heights[at])
	}
	return b.String()
}
