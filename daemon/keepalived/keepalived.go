// Package keepalived says whether keepalived, by its configuration, will tell the daemon of every change of the role.
//
// It reads keepalived.conf as keepalived does (lines.go: files, conditions, definitions; model.go: blocks), works out
// what each notify script would say to the daemon (script.go), and judges (judge.go). An answer is certain, or it is a
// doubt that says what cannot be known. The configuration is read once for each config-id that its conditions name.
package keepalived

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"time"

	"ctsync/daemon/control"
)

// Reading is what keepalived's configuration says.
type Reading struct {
	Changed time.Time // when a file of it was last changed; zero if that is not known

	path    string
	sys     *system
	unread  string   // why it could not be read, "" if it could
	missing bool     // there is none
	models  []*model // one for each config-id that makes a difference, the likely one first
}

// Read reads the configuration at path with everything that it includes.
func Read(path string) *Reading { return read(newSystem(), path) }

func read(sys *system, path string) *Reading {
	c := &Reading{path: path, sys: sys}
	text, err := sys.read(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.missing = true
		c.unread = fmt.Sprintf("%s does not exist: keepalived is not checked; if its configuration is elsewhere, set "+
			"keepalived-config", path)
	case err != nil:
		c.unread = fmt.Sprintf("keepalived is not checked: %v", err)
	}
	if err != nil {
		c.Changed = sys.changed
		return c
	}
	ids := []string{sys.host}
	for i := 0; i < len(ids); i++ {
		r := newReader(sys, ids[i])
		r.text(path, text)
		for _, id := range r.asked {
			if !slices.Contains(ids, id) && len(ids) < maxIDs {
				ids = append(ids, id)
			}
		}
		c.models = append(c.models, newModel(r))
	}
	c.Changed = sys.changed
	return c
}

// maxIDs bounds how many config-ids are tried.
const maxIDs = 16

// Judge answers whether keepalived will tell the daemon, which follows f and may be used as access says, of every
// transition. What has been heard counts for more than what is read.
func (c *Reading) Judge(f control.Followed, access Access, heard Heard) Verdict {
	if c.unread != "" {
		if len(heard) > 0 {
			return Verdict{}
		}
		return Verdict{Doubt: []string{c.unread}}
	}
	verdicts := make([]Verdict, len(c.models))
	for i, m := range c.models {
		q := question{model: m, sys: c.sys, path: c.path, follow: f, access: access, heard: heard}
		verdicts[i] = q.judge()
	}
	return c.together(verdicts)
}

// together makes one verdict of those for each config-id. What is wrong with one and not with another is a doubt.
func (c *Reading) together(verdicts []Verdict) Verdict {
	first := verdicts[0]
	if !slices.ContainsFunc(verdicts, func(v Verdict) bool {
		return !slices.Equal(v.Wrong, first.Wrong) || !slices.Equal(v.Doubt, first.Doubt)
	}) {
		if len(first.Doubt) > 0 && len(first.Wrong) > 0 && len(c.models[0].doubts) > 0 {
			return Verdict{Doubt: append(slices.Clone(first.Doubt), maybe(first.Wrong)...)}
		}
		return first
	}
	var by []string
	for i, v := range verdicts {
		text := "in order"
		if all := slices.Concat(v.Wrong, v.Doubt); len(all) > 0 {
			text = all[0]
		}
		by = append(by, fmt.Sprintf("with %s: %s", quote(c.models[i].id), text))
	}
	return Verdict{Doubt: []string{fmt.Sprintf("%s depends on the config-id (keepalived -i, else the host name): %s",
		c.path, strings.Join(by, "; "))}}
}

// maybe marks what would be wrong if there were nothing that cannot be read.
func maybe(wrong []string) []string {
	list := make([]string, len(wrong))
	for i := range wrong {
		list[i] = "as far as it can be read: " + wrong[i]
	}
	return list
}

// Addresses returns the virtual addresses of f. known is false where they depend on what cannot be known.
func (c *Reading) Addresses(f control.Followed) (list []netip.Addr, known bool) {
	for i, m := range c.models {
		var now []netip.Addr
		if b := m.block(f); b != nil {
			now = b.virtual()
		}
		if i > 0 && !slices.Equal(list, now) || len(m.doubts) > 0 {
			return nil, false
		}
		list = now
	}
	return list, len(list) > 0
}

// Virtual returns the addresses that keepalived moves between the routers, as far as they can be read. known is false
// if there may be others, or if there are none.
func (c *Reading) Virtual() (list []netip.Addr, known bool) {
	known = true
	for _, m := range c.models {
		known = known && len(m.doubts) == 0
		for _, i := range m.instances {
			known = known && !i.unread
			for _, a := range i.addresses {
				if !slices.Contains(list, a) {
					list = append(list, a)
				}
			}
		}
	}
	return list, known && len(list) > 0
}
