package main

import (
	"regexp"
	"strings"
)

// setting is a line with a key: "#key = default", "# key = example" for a key without a default, or "key = example" for
// a required key.
var setting = regexp.MustCompile(`^(#? ?)([a-z-]+) = (.+)$`)

// heading is a line that begins a part.
var heading = regexp.MustCompile(`^# --- (.+?) -+$`)

// configPage makes ctsync.toml(5) from the example: a comment belongs to the key or the table below it.
func configPage(example string) []byte {
	p := newPage("ctsync.toml", 5, "configuration of ctsyncd(8)")
	p.section("Description")
	first, rest, _ := strings.Cut(example, "\n")
	p.text("The file is " + first[strings.LastIndexByte(first, ' ')+1:] + ".")
	p.WriteString(".PP\n")
	_, rest, _ = strings.Cut(rest, "\n") // an empty comment
	begun := false                       // the first heading has come
	var comment []string
	for l := range strings.SplitSeq(rest, "\n") {
		switch m := setting.FindStringSubmatch(l); {
		case heading.MatchString(l):
			if !begun {
				p.section("Keys")
				begun = true
			}
			title := heading.FindStringSubmatch(l)[1]
			p.part(strings.ToUpper(title[:1]) + title[1:])
		case m != nil:
			p.item(m[2], strings.Join(comment, " ")+value(m[1], m[3]))
			comment = nil
		case strings.HasPrefix(l, "["):
			p.item(l, strings.Join(comment, " "))
			comment = nil
		case l == "" || l == "#":
			if len(comment) > 0 { // a paragraph that belongs to no key
				p.text(strings.Join(comment, "\n"))
				if !begun && l == "#" {
					p.WriteString(".PP\n")
				}
			}
			comment = nil
		default:
			comment = append(comment, strings.TrimPrefix(l, "# "))
		}
	}
	p.references("ctsyncd(8)", "ctsync(8)", "keepalived.conf(5)")
	return p.Bytes()
}

// value explains the value that stands behind a key.
func value(mark, shown string) string {
	switch mark {
	case "#":
		return " Default: " + shown
	case "# ":
		return " No default. Example: " + shown
	}
	return " Required. Example: " + shown
}
