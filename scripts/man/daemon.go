package main

import (
	"fmt"
	"strings"
)

// daemonPage makes ctsyncd(8) from the program's package comment and its usage.
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
	p.references("ctsync(8)", "ctsync.toml(5)", "conntrackd(8)", "keepalived(8)")
	return p.Bytes()
}
