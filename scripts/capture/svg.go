package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Size of a character, and the space around the screen, in pixels.
const (
	charWidth  = 8.4
	charHeight = 18.0
	margin     = 12.0
)

// Colours of the picture: the first eight of a terminal, and those of text without a colour.
var palette = [8]string{"#1d2129", "#e06c75", "#8fbf7f", "#d8b36a", "#6fa8dc", "#c397d8", "#6fc3c9", "#d7dae0"}

const (
	paper = "#1d2129"
	ink   = "#d7dae0"
)

// pen holds the attributes that SGR sequences have set.
type pen struct {
	bold, faint, reverse bool
	colour               int // -1 = none
}

// picture draws a screen of text with SGR sequences as SVG. Each run of text with the same attributes has its own
// position and width, so that columns stay aligned in any font.
func picture(text string, columns, lines int) []byte {
	var b bytes.Buffer
	w, h := float64(columns)*charWidth+2*margin, float64(lines)*charHeight+2*margin
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f" `+
		`font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" `+
		`font-size="14">`+"\n", w, h, w, h)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" rx="6" fill="%s"/>`+"\n", paper)
	p := pen{colour: -1}
	for n, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		p = drawLine(&b, p, line, margin+float64(n)*charHeight)
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// drawLine draws the runs of one line and returns the pen at its end.
func drawLine(b *bytes.Buffer, p pen, line string, top float64) pen {
	column := 0
	for line != "" {
		if rest, ok := strings.CutPrefix(line, "\x1b["); ok {
			codes, after, _ := strings.Cut(rest, "m")
			p = p.set(codes)
			line = after
			continue
		}
		run, _, _ := strings.Cut(line, "\x1b[")
		line = line[len(run):]
		n := utf8.RuneCountInString(run)
		p.draw(b, run, n, margin+float64(column)*charWidth, top)
		column += n
	}
	return p
}

func (p pen) set(codes string) pen {
	for _, c := range strings.Split(codes, ";") {
		switch n, _ := strconv.Atoi(c); {
		case n == 0:
			p = pen{colour: -1}
		case n == 1:
			p.bold = true
		case n == 2:
			p.faint = true
		case n == 7:
			p.reverse = true
		case n == 22:
			p.bold, p.faint = false, false
		case n == 27:
			p.reverse = false
		case n >= 30 && n <= 37:
			p.colour = n - 30
		case n == 39:
			p.colour = -1
		}
	}
	return p
}

func (p pen) draw(b *bytes.Buffer, run string, n int, x, top float64) {
	front, back := ink, ""
	if p.colour >= 0 {
		front = palette[p.colour]
	}
	if p.reverse {
		front, back = paper, front
	}
	width := float64(n) * charWidth
	if back != "" {
		fmt.Fprintf(b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>`,
			x, top, width, charHeight, back)
	}
	if strings.TrimSpace(run) == "" {
		return
	}
	style := ""
	if p.bold {
		style += ` font-weight="bold"`
	}
	if p.faint {
		style += ` opacity="0.6"`
	}
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" textLength="%.1f" lengthAdjust="spacingAndGlyphs" `+
		`xml:space="preserve" fill="%s"%s>`, x, top+13.5, width, front, style)
	_ = xml.EscapeText(b, []byte(run)) // writing to a buffer cannot fail
	b.WriteString("</text>\n")
}
