package main

import (
	"fmt"
	"strings"
)

// daemonPage makes ctsyncd(8) of the package comment of the program and of its usage.
func daemonPage(doc, usage string) []byte {
	first, rest, _ := strings.Cut(doc, "\n\n")
	short := strings.TrimSuffix(strings.TrimPrefix(first, "Command ctsyncd "), ".")
	p := newPage("ctsyncd", 8, short)
	forms, options, _ := strings.Cut(usage, "\n\n")
	p.section("Synopsis")
	for i, form := range strings.Split(forms, "\n") {
		if i > 0 {
			p.WriteString(".br\n")
		}
		name, flags, _ := strings.Cut(strings.TrimSpace(strings.TrimPrefix(form, "usage:")), " ")
		fmt.Fprintf(p, "\\fB%s\\fR %s\n", escape(name), escape(flags))
	}
	p.section("Description")
	p.text(rest)
	p.section("Options")
	var tag, text string
	for l := range strings.Lines(options) {
		l = strings.TrimRight(l, "\n")
		if strings.HasPrefix(l, "  --") {
			if tag != "" {
				p.item(tag, text)
			}
			tag, text, _ = strings.Cut(strings.TrimLeft(l, " "), "  ")
			text = strings.TrimLeft(text, " ")
			continue
		}
		text += " " + strings.TrimLeft(l, " ")
	}
	p.item(tag, text)
	p.section("See also")
	p.WriteString("\\fBctsync\\fR(8), \\fBctsync.toml\\fR(5), \\fBconntrackd\\fR(8), \\fBkeepalived\\fR(8)\n")
	return p.Bytes()
}
