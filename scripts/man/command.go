package main

import (
	"fmt"
	"strings"
)

// command and flag are what `ctsync __tree` prints, see cmd/ctsync/tree.go.
type command struct {
	Path, Use, Short, Long, Example string
	Topic                           bool
	Flags                           []flag
	Commands                        []command
}

type flag struct{ Name, Shorthand, Value, Optional, Default, Usage string }

// commandPage returns ctsync(8).
func commandPage(root command) []byte {
	p := newPage("ctsync", 8, lower(root.Short))
	p.section("Synopsis")
	fmt.Fprintf(p, "\\fB%s\\fR [\\fIflags\\fR] \\fIcommand\\fR\n", escape(root.Path))
	p.section("Description")
	p.text(root.Long)
	p.section("Global flags")
	p.flags(root.Flags)
	p.section("Commands")
	p.commands(root.Commands)
	for _, c := range root.Commands {
		if c.Topic {
			p.section(c.Short)
			p.text(c.Long)
		}
	}
	p.references("ctsyncd(8)", "ctsync-exporter(8)", "ctsync.toml(5)", "conntrackd(8)", "conntrack(8)", "keepalived(8)")
	return p.Bytes()
}

// commands describes the commands that do something. One that only groups others appears in their names.
func (p *page) commands(list []command) {
	for _, c := range list {
		switch {
		case c.Topic:
		case len(c.Commands) > 0:
			p.commands(c.Commands)
		default:
			p.part(c.Use)
			p.text(c.Short + ".")
			if c.Long != "" {
				p.WriteString(".PP\n")
				p.text(c.Long)
			}
			p.flags(c.Flags)
			if c.Example != "" {
				p.WriteString(".PP\nFor example:\n.PP\n")
				p.literal(unindent(strings.Split(c.Example, "\n")))
			}
		}
	}
}

func (p *page) flags(flags []flag) {
	for _, f := range flags {
		tag, text := "--"+f.Name, f.Usage
		if f.Shorthand != "" {
			tag = "-" + f.Shorthand + ", " + tag
		}
		switch {
		case f.Optional != "":
			tag += "[=" + f.Value + "]"
			text += " (without a value " + f.Optional + ")"
		case f.Value != "":
			tag += " " + f.Value
		}
		if f.Default != "" {
			text += " (default " + f.Default + ")"
		}
		p.item(tag, text)
	}
}

// lower makes the first letter of a sentence a small one, as it stands behind the name of a page.
func lower(s string) string { return strings.ToLower(s[:1]) + s[1:] }
