package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"ctsync/daemon/expr"
)

// filterHelp is the page of "ctsync help filter". Its list of keys is the table that the parser uses.
func filterHelp() *cobra.Command {
	return &cobra.Command{Use: "filter", Short: "The language of --filter", Long: string(appendFilterHelp(nil))}
}

func appendFilterHelp(b []byte) []byte {
	b = append(b, `A filter is one or more words. It selects the flows that match all of them.

  ctsync show table --filter "proto:tcp dport:80,443 !src:10.0.0.0/8"
  ctsync show cache external --filter "(nat:snat or mark:0x10/0xf0) idle>1m" --sort -age --limit 20
  ctsync events --filter "established 10.0.0."

  a b, a and b, a && b     both match
  a or b, a || b           at least one matches
  !a, not a                a does not match
  (a or b) c               parentheses bind first
  "a b"                    in quotes, blanks and signs are part of the word

A key with a value, key:value or key=value, compares one property of the flow:
  key:a,b                  one of several values
  key:a-b                  a range, for values that have an order
  key!=a,b                 none of them
  key>a key>=a key<a key<=a   for values that have an order

Times are written 90, 90s, 5m, 2h, 1d, 1w or 1h30m, sizes 1000, 1k, 1M or 1Ki, marks in decimal or as 0x17.

`...)
	for _, k := range expr.Keys() {
		b = fmt.Appendf(b, "  %-12s %-32s %s\n", k.Name, k.Example, k.Doc)
		if len(k.Values) > 0 {
			b = fmt.Appendf(b, "  %-12s %s\n", "", wrapped(k.Values, 104, "\n"+strings.Repeat(" ", 15)))
		}
	}
	return append(b, `
A word without a key can be an address or network, the beginning of an address (10.0. or fd00:1), an address and port
(10.0.0.7:443), a port, a CONN ID, a part of the name of a protocol, state or helper, or one of assured, replied,
unreplied, expected, offload, nat, snat, dnat, ipv4, ipv6. Upper and lower case are the same.
`...)
}

// wrapped joins words with commas. Where a line would get longer than width, it writes breaks.
func wrapped(words []string, width int, breaks string) string {
	var b strings.Builder
	n := 0
	for i, w := range words {
		if i > 0 {
			b.WriteString(",")
			if n += len(w) + 2; n > width {
				b.WriteString(breaks)
				n = len(w)
			} else {
				b.WriteString(" ")
			}
		} else {
			n = len(w)
		}
		b.WriteString(w)
	}
	return b.String()
}
