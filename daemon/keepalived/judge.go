package keepalived

import (
	"fmt"
	"slices"
	"strings"

	"ctsync/daemon/control"
	"ctsync/daemon/flow"
)

// Verdict is the answer to the question whether keepalived will tell the daemon of every transition. It is in order if
// both lists are empty. Each text is one line and says what to do, or why it is not known.
type Verdict struct {
	Wrong []string
	Doubt []string
}

// Heard says which transitions keepalived has reported since its configuration was changed last. What has arrived
// needs no reading.
type Heard map[control.State]bool

// question is one model, and what is asked about it.
type question struct {
	*model
	sys    *system
	path   string
	follow control.Followed
	access Access
	heard  Heard
}

// teller is a script that says what the daemon listens to.
type teller struct {
	by    *block
	state control.State
}

// judge answers the question.
func (q *question) judge() (v Verdict) {
	if len(q.heard) == 0 {
		v.Doubt = q.doubts
	}
	tellers := q.tellers()
	b := q.block(q.follow)
	switch {
	case b == nil && len(tellers) == 0:
		if len(q.heard) == 0 {
			v.Wrong = append(v.Wrong, q.missing())
		}
		return v
	case b == nil:
		b = tellers[0].by
	case len(q.heard) == 0:
		v.Wrong = append(v.Wrong, q.strayed(b)...)
	}
	if b.removed() {
		return v
	}
	together := b.together()
	q.untold(b, together, tellers, &v)
	for _, t := range tellers {
		if !slices.Contains(together, t.by) {
			v.Wrong = append(v.Wrong, fmt.Sprintf("%s in %s reports to ctsync in the name of %s, too, and keepalived does "+
				"not move the two together: put both into one vrrp_sync_group", t.by, q.path, q.follow))
		}
	}
	v.Wrong = slices.Compact(v.Wrong)
	return v
}

// tellers lists the scripts of the whole configuration that the daemon listens to.
func (q *question) tellers() (list []teller) {
	for _, b := range slices.Concat(q.groups, q.instances) {
		if b.removed() {
			continue
		}
		for _, s := range states {
			for _, keyword := range []string{s.keyword, generic} {
				c := q.call(b, keyword, s.state)
				if c != nil && c.says != nil && q.follow.Means(c.says) {
					list = append(list, teller{b, s.state})
					break
				}
			}
		}
	}
	return list
}

// together returns the blocks that keepalived moves with b, and b: a group and its members.
func (b *block) together() []*block {
	if b.group != nil {
		b = b.group
	}
	return append([]*block{b}, b.alive...)
}

// strayed says which members of a group keepalived does not find, and whether it drops the group.
func (q *question) strayed(b *block) []string {
	if b.Type != control.TypeGroup {
		return nil
	}
	var missing, taken []string
	for _, name := range b.members {
		switch i := find(q.instances, name); {
		case i == nil:
			missing = append(missing, quote(name))
		case i.group != b:
			taken = append(taken, quote(name)+" is in "+i.group.String()+" already")
		}
	}
	var why []string
	if len(b.members) == 0 {
		why = append(why, "it has no members")
	}
	if len(missing) > 0 {
		why = append(why, "no vrrp_instance is called "+strings.Join(missing, " or "))
	}
	why = append(why, taken...)
	switch {
	case b.removed():
		return []string{fmt.Sprintf("keepalived removes %s in %s and runs none of its scripts: %s%s", b, q.path,
			strings.Join(why, "; "), has("; there is ", q.instances))}
	case len(why) > 0:
		return []string{fmt.Sprintf("keepalived moves %s in %s without some of its members: %s", b, q.path,
			strings.Join(why, "; "))}
	}
	return nil
}

// untold finds out for each transition why the daemon would not hear of it. Those with one reason share a line.
func (q *question) untold(b *block, together []*block, tellers []teller, v *Verdict) {
	var silent []string
	var wrong, doubt reasons
	for _, s := range states {
		if q.heard[s.state] || slices.ContainsFunc(tellers, func(t teller) bool {
			return t.state == s.state && slices.Contains(together, t.by)
		}) {
			continue
		}
		whys, doubts := q.failing(together, s.keyword, s.state)
		switch {
		case len(doubts) > 0 && len(q.heard) == 0:
			doubt.add(doubts[0].doubt, doubts[0])
		case len(doubts) > 0:
		case len(whys) > 0:
			wrong.add(whys[0].why, whys[0])
		default:
			silent = append(silent, s.keyword)
		}
	}
	v.Wrong = append(v.Wrong, wrong.lines(b, "ctsync does not hear of it")...)
	v.Doubt = append(v.Doubt, doubt.lines(b, "not known whether ctsync hears of it")...)
	switch {
	case len(silent) == 0:
	case len(q.elsewhere) > 0:
		if len(q.heard) == 0 {
			v.Doubt = append(v.Doubt, fmt.Sprintf("%s has no %s, and whether the reader of %s in %s tells ctsync is not known",
				b, strings.Join(silent, ", "), q.elsewhere[0], q.path))
		}
	case len(silent) == len(states):
		v.Wrong = append(v.Wrong, fmt.Sprintf("%s in %s runs no notify script: ctsync does not hear of its transitions, "+
			"see keepalived.conf.example", b, q.path))
	default:
		v.Wrong = append(v.Wrong, fmt.Sprintf("%s in %s has no %s: ctsync does not hear of these transitions", b, q.path,
			strings.Join(silent, ", ")))
	}
}

// failing returns the scripts for a transition that do not tell the daemon, and those of which that is not known.
func (q *question) failing(together []*block, keyword string, state control.State) (whys, doubts []*call) {
	for _, b := range together {
		for _, k := range []string{keyword, generic} {
			switch c := q.call(b, k, state); {
			case c == nil:
			case c.doubt != "":
				doubts = append(doubts, c)
			case c.why != "":
				whys = append(whys, c)
			case c.says.Type != q.follow.Type && c.says.Name == q.follow.Name: // INSTANCE of the group's name
				c.why = fmt.Sprintf("it reports an instance, and ctsync.toml names a group: write instance = %s there",
					quote(c.says.Name))
				whys = append(whys, c)
			case b.Type == q.follow.Type || c.keyword != generic:
				c.why = fmt.Sprintf("it reports %s, and ctsync.toml names %s", quote(c.says.Name), q.follow)
				whys = append(whys, c)
			}
		}
	}
	return whys, doubts
}

// reasons are why transitions are not heard of, each with its scripts, in the order of states.
type reasons []struct {
	why   string
	calls []*call
}

func (r *reasons) add(why string, c *call) {
	for i := range *r {
		if (*r)[i].why == why {
			(*r)[i].calls = append((*r)[i].calls, c)
			return
		}
	}
	*r = append(*r, struct {
		why   string
		calls []*call
	}{why, []*call{c}})
}

// lines makes one line of all scripts with one reason.
func (r reasons) lines(b *block, what string) (list []string) {
	for _, reason := range r {
		var names []string
		for _, c := range reason.calls {
			if !slices.Contains(names, c.keyword) {
				names = append(names, c.keyword)
			}
		}
		list = append(list, fmt.Sprintf("%s: %s of %s: %s: %s", reason.calls[0].place, strings.Join(names, ", "), b, what,
			reason.why))
	}
	return list
}

// missing says that what is followed does not exist, and what there is.
func (q *question) missing() string {
	kind, other, list, others := "vrrp_sync_group", "sync-group", q.groups, q.instances
	if q.follow.Type == control.TypeInstance {
		kind, list, others = "vrrp_instance", q.instances, q.groups
	} else {
		other = "instance"
	}
	text := fmt.Sprintf("%s has no %s %s, which ctsync.toml names", q.path, kind, quote(q.follow.Name))
	if find(others, q.follow.Name) != nil {
		return text + fmt.Sprintf(", but has %s: write %s = %s", find(others, q.follow.Name), other, quote(q.follow.Name))
	}
	if len(list) == 0 {
		return text + ": it has none" + has(", but ", others)
	}
	text += has(": it has ", list)
	if near := flow.Nearest(q.follow.Name, names(list)); near != "" {
		text += fmt.Sprintf("; did you mean %s?", quote(near))
	}
	return text
}

// shownNames bounds how many names a message has.
const shownNames = 8

// has lists the names of blocks behind text; "" without any.
func has(text string, list []*block) string {
	if len(list) == 0 {
		return ""
	}
	var shown []string
	for _, b := range list[:min(len(list), shownNames)] {
		shown = append(shown, quote(b.Name))
	}
	if n := len(list) - shownNames; n > 0 {
		shown = append(shown, fmt.Sprintf("%d more", n))
	}
	return text + strings.Join(shown, ", ")
}

func names(list []*block) (all []string) {
	for _, b := range list {
		all = append(all, b.Name)
	}
	return all
}

// quote quotes a text of the file, at most the longest name that ctsync.toml can have.
func quote(text string) string { return fmt.Sprintf("%.255q", text) }
