package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// ExpectAll is the value of expect-sync for the expectations of every helper.
const ExpectAll = "all"

// expectHelpers maps VyOS's words to the kernel's names of helpers. rpc and tns are the helpers of NFS and Oracle, in
// VyOS's own modules and in the user-space helpers of conntrack-tools.
var expectHelpers = []struct {
	word    string
	helpers []string
}{
	{"ftp", []string{"ftp"}},
	{"sip", []string{"sip"}},
	{"h323", []string{"ras", "q.931", "h.245"}},
	{"nfs", []string{"rpc"}},
	{"sqlnet", []string{"tns"}},
}

// ExpectWords lists the protocols of expect-sync as VyOS's "show conntrack-sync status" does: instead of "all" it lists
// every protocol that has a word.
func (c *Config) ExpectWords() []string {
	if !slices.Contains(c.ExpectSync, ExpectAll) {
		return c.ExpectSync
	}
	words := make([]string, len(expectHelpers))
	for i, h := range expectHelpers {
		words[i] = h.word
	}
	return words
}

// ExpectHelper reports whether expectations of the helper of this name are replicated. As in conntrackd, only the
// beginning of a name must match, in any case: the kernel calls a helper on another port "sip-5062".
func (c *Config) ExpectHelper(name string) bool {
	for _, word := range c.ExpectSync {
		if word == ExpectAll {
			return true
		}
		for _, h := range expectHelpers {
			if h.word == word && slices.ContainsFunc(h.helpers, func(p string) bool {
				return len(name) >= len(p) && strings.EqualFold(name[:len(p)], p)
			}) {
				return true
			}
		}
	}
	return false
}

// helperHint names the word of expect-sync for the kernel's or conntrackd's name of a helper.
func helperHint(name string) string {
	for _, h := range expectHelpers {
		for _, helper := range h.helpers {
			if helper != h.word && strings.EqualFold(helper, name) {
				return fmt.Sprintf(": the helper %s belongs to %q", helper, h.word)
			}
		}
		if strings.EqualFold(h.word, name) {
			return fmt.Sprintf("; did you mean %q?", h.word)
		}
	}
	if strings.EqualFold(name, ExpectAll) || strings.EqualFold(name, "on") {
		return fmt.Sprintf("; did you mean %q?", ExpectAll)
	}
	return ""
}

// expectSync reads the list of protocols.
func (p *parser) expectSync(n *node) {
	if n.kind != unstable.Array {
		p.wants(n, `a list of protocols, such as ["ftp", "sip"], or ["all"]`)
		return
	}
	var words []string
	for _, item := range n.items {
		known := item.text == ExpectAll
		for _, h := range expectHelpers {
			known = known || h.word == item.text
		}
		switch {
		case item.kind != unstable.String:
			p.problem(item.valueAt, "expect-sync wants the name of a protocol in quotes, not %s", item)
		case !known:
			p.problem(item.valueAt, "expect-sync = %s is none of all, ftp, h323, nfs, sip, sqlnet%s", quote(item.text),
				helperHint(item.text))
		case slices.Contains(words, item.text):
			p.problem(item.valueAt, "expect-sync has %s twice", item.text)
		default:
			words = append(words, item.text)
		}
	}
	if len(words) > 1 && slices.Contains(words, ExpectAll) {
		p.problem(n.valueAt, "expect-sync has all and other protocols: all must be alone")
		return
	}
	p.cfg.ExpectSync = words
}
