package keepalived

import (
	"net/netip"
	"slices"
	"strings"

	"ctsync/daemon/control"
)

// The second half: from lines to what keepalived has in the end. It takes the first of two blocks or scripts with one
// name, drops a group without members that exist, and knows a member only in the first group that names it.

// model is what keepalived makes of its configuration with one config-id.
type model struct {
	id        string
	groups    []*block
	instances []*block

	scriptUser []string // words of the last script_user: USER [GROUP]
	badUser    []string // of the first one that this system does not have
	security   bool     // enable_script_security
	elsewhere  []string // keywords that announce transitions where no script shows it
	doubts     []string // why there may be more, or less
}

// block is a vrrp_sync_group or a vrrp_instance.
type block struct {
	control.Followed // its type and name

	members   []string // of a group, as in the file
	listed    bool     // a group {} has come
	alive     []*block // of a group: the members that keepalived knows in it
	group     *block   // of an instance: the group that it is in
	notify    []script
	addresses []netip.Addr // virtual ones, of an instance
	unread    bool         // one of them is not understood
}

// script is one line with a notify script.
type script struct {
	keyword string
	line    line
}

// String returns the block as the file names it.
func (b *block) String() string {
	if b.Type == control.TypeInstance {
		return "vrrp_instance " + quote(b.Name)
	}
	return "vrrp_sync_group " + quote(b.Name)
}

// states are the transitions that ctsync must hear of, and the keyword of the script for each.
var states = [...]struct {
	keyword string
	state   control.State
}{
	{"notify_master", control.StateMaster},
	{"notify_backup", control.StateBackup},
	{"notify_fault", control.StateFault},
	{"notify_stop", control.StateStop},
}

// generic is the keyword of the script that keepalived runs on every transition, with four more arguments.
const generic = "notify"

func isNotify(word string) bool {
	for i := range states {
		if states[i].keyword == word {
			return true
		}
	}
	return word == generic
}

// node is a line with the block that follows it.
type node struct {
	line
	words []string // at least one
	body  []*node
}

// tree puts lines into their blocks. balanced is false if the braces do not match.
func tree(lines []line) (root *node, balanced bool) {
	root, balanced = &node{}, true
	open := []*node{root}
	for _, l := range lines {
		in := open[len(open)-1]
		switch {
		case l.text == "{" && len(in.body) > 0:
			open = append(open, in.body[len(in.body)-1])
		case l.text == "{":
			balanced = false
		case l.text == "}" && len(open) > 1:
			open = open[:len(open)-1]
		case l.text == "}":
			balanced = false
		default:
			if w := words(l.text); len(w) > 0 {
				in.body = append(in.body, &node{line: l, words: w})
			}
		}
	}
	return root, balanced && len(open) == 1
}

// newModel makes the model of what r has read.
func newModel(r *reader) *model {
	m := &model{id: r.id, doubts: r.doubts}
	root, balanced := tree(r.lines)
	if !balanced {
		m.doubts = append(m.doubts, "the braces do not match")
	}
	for _, n := range root.body {
		switch n.words[0] {
		case "global_defs":
			m.global(n, r.sys)
		case "vrrp_sync_group":
			m.groups = m.add(m.groups, control.TypeGroup, n)
		case "vrrp_instance":
			m.instances = m.add(m.instances, control.TypeInstance, n)
		}
	}
	m.join()
	return m
}

func (m *model) global(n *node, sys *system) {
	for _, l := range n.body {
		switch w := l.words; w[0] {
		case "script_user":
			m.scriptUser = w[1:]
			if _, err := sys.as(w[1:]); err != nil && m.badUser == nil {
				m.badUser = w[1:]
			}
		case "enable_script_security":
			m.security = true
		case "notify_fifo", "vrrp_notify_fifo", "enable_dbus":
			m.elsewhere = append(m.elsewhere, w[0])
		}
	}
}

// add adds a group or an instance to list. keepalived ignores one without exactly one name, and a second one of a name.
func (m *model) add(list []*block, typ string, n *node) []*block {
	if len(n.words) != 2 || find(list, n.words[1]) != nil {
		return list
	}
	b := &block{Followed: control.Followed{Type: typ, Name: n.words[1]}}
	for _, l := range n.body {
		switch w := l.words; {
		case isNotify(w[0]):
			b.notify = append(b.notify, script{w[0], l.line})
		case w[0] == "group" && typ == control.TypeGroup && !b.listed:
			b.listed = true
			for _, m := range l.body {
				b.members = append(b.members, m.words...)
			}
		case (w[0] == "virtual_ipaddress" || w[0] == "virtual_ipaddress_excluded") && typ == control.TypeInstance:
			for _, a := range l.body {
				read := addressIn(a.words)
				b.addresses, b.unread = append(b.addresses, read...), b.unread || read == nil
			}
		}
	}
	return append(list, b)
}

// addressIn returns the address of a line of virtual_ipaddress, its first word that is one.
func addressIn(words []string) []netip.Addr {
	for _, w := range words {
		text, _, _ := strings.Cut(w, "/")
		if a, err := netip.ParseAddr(text); err == nil {
			return []netip.Addr{a}
		}
	}
	return nil
}

// join gives each group its members.
func (m *model) join() {
	for _, g := range m.groups {
		for _, name := range g.members {
			if i := find(m.instances, name); i != nil && i.group == nil {
				i.group = g
				g.alive = append(g.alive, i)
			}
		}
	}
}

func find(list []*block, name string) *block {
	for _, b := range list {
		if b.Name == name {
			return b
		}
	}
	return nil
}

// block returns the block that is followed, nil if there is none.
func (m *model) block(f control.Followed) *block {
	if f.Type == control.TypeInstance {
		return find(m.instances, f.Name)
	}
	return find(m.groups, f.Name)
}

// removed reports whether keepalived drops b: a group of which no member exists, or is free.
func (b *block) removed() bool { return b.Type == control.TypeGroup && len(b.alive) == 0 }

// virtual returns the virtual addresses of a block: of an instance, or of all members of a group.
func (b *block) virtual() []netip.Addr {
	list := slices.Clone(b.addresses)
	for _, i := range b.alive {
		list = append(list, i.addresses...)
	}
	return list
}
