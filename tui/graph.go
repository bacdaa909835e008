package tui

import "strings"

// graphLength is the number of values in a series: few terminals are wider.
const graphLength = 256

// series are the last values of a rate, one per refresh, oldest first.
type series []float64

// add returns s with a value at its end.
func (s series) add(v float64) series {
	s = append(s, v)
	return s[max(len(s)-graphLength, 0):]
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

// bars are the eight heights of a graph. ASCII terminals show asciiBars.
const (
	bars      = "▁▂▃▄▅▆▇█"
	asciiBars = "_.,-=+*#"
)

// graph draws the last width values, the newest on the right. The highest bar is the greatest of them, or least if all
// are smaller. Only 0 has the lowest bar.
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
