package main

import (
	"fmt"
	"strings"
)

// programPage makes the page of a program that has only flags, from its package comment and its usage.
func programPage(name, doc, usage string, references ...string) []byte {
	first, rest, _ := strings.Cut(doc, "\n\n")
	short := strings.TrimSuffix(strings.TrimPrefix(first, "Command "+name+" "), ".")
	p := newPage(name, 8, short)
	forms, options, _ := strings.Cut(usage, "\n\n")
	p.section("Synopsis")
	for i, form := range strings.Split(forms, "\n") {
		if i > 0 {
			p.WriteString(".br\n")
		}
		program, flags, _ := strings.Cut(strings.TrimSpace(strings.TrimPrefix(form, "usage:")), " ")
		fmt.Fprintf(p, "\\fB%s\\fR %s\n", escape(program), escape(flags))
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
	p.references(references...)
	return p.Bytes()
}
