package daemon

import (
	"fmt"

	"golang.org/x/sys/unix"

	"ctsync/daemon/flow"
)

// conflicts deals with the flows of a block that the kernel refused with EEXIST. What stands there is looked at: the
// same flow is updated in place and keeps its counters and window state; a stranger (a bare entry that a packet made
// before the commit, or another flow on our reply tuple) is deleted, and the flow created.
func (m *commitment) conflicts(errs []unix.Errno) error {
	m.sub, m.at = m.sub[:0], m.at[:0]
	for i, e := range errs {
		if e == unix.EEXIST {
			m.sub, m.at = append(m.sub, m.flows[i]), append(m.at, i)
		}
	}
	if len(m.sub) == 0 {
		return nil
	}
	n := len(m.sub)
	if err := m.k.GetBatch(m.sub, m.found[:n], m.subErrs[:n]); err != nil {
		return fmt.Errorf("look up conntrack entries: %w", err)
	}
	strangers := m.sortOut(errs)
	if err := m.updateSame(errs); err != nil {
		return err
	}
	return m.replace(errs, strangers)
}

// sortOut leaves in m.sub and m.at the flows that stand in the kernel already, and returns the others by index in the
// block; what stands in their place is in m.found, at the front.
func (m *commitment) sortOut(errs []unix.Errno) []int {
	var strangers []int
	same := 0
	for j, i := range m.at {
		f := &m.flows[i]
		switch {
		case m.subErrs[j] == 0 && sameFlow(&m.found[j], f):
			m.sub[same], m.at[same] = *f, i
			same++
			continue
		case m.subErrs[j] != 0:
			// Nobody has our original tuple: the one in the way has our reply tuple.
			if err := m.k.Get(&f.Reply, flow.Original, &m.found[j]); err != nil {
				m.found[j].Has = 0 // gone meanwhile: creating is enough
			}
		}
		m.found[len(strangers)] = m.found[j]
		strangers = append(strangers, i)
	}
	m.sub, m.at = m.sub[:same], m.at[:same]
	return strangers
}

// sameFlow reports whether the kernel's entry is the flow that the peer told us of: the same two endpoints and the same
// translation.
func sameFlow(have, want *flow.Flow) bool {
	return have.Orig == want.Orig && (!want.Has.Is(flow.HasReply) || have.Reply == want.Reply)
}

func (m *commitment) updateSame(errs []unix.Errno) error {
	if len(m.sub) == 0 {
		return nil
	}
	sub := m.subErrs[:len(m.sub)]
	if err := m.k.Update(m.sub, sub); err != nil {
		return fmt.Errorf("update conntrack entries: %w", err)
	}
	for j, i := range m.at {
		errs[i] = sub[j]
		if sub[j] == 0 {
			m.result.Updated++
		}
	}
	return nil
}

// replace deletes what is in the way of the given flows and creates them.
func (m *commitment) replace(errs []unix.Errno, strangers []int) error {
	if len(strangers) == 0 {
		return nil
	}
	inTheWay := m.sub[:0]
	for j := range strangers {
		if m.found[j].Has != 0 {
			inTheWay = append(inTheWay, m.found[j])
		}
	}
	if len(inTheWay) > 0 {
		// One that is gone by now is what we want; any other failure shows in the create below.
		if err := m.k.Delete(inTheWay, m.subErrs[:len(inTheWay)]); err != nil {
			return fmt.Errorf("delete conntrack entries: %w", err)
		}
	}
	m.sub, m.at = m.sub[:0], m.at[:0]
	for _, i := range strangers {
		m.sub, m.at = append(m.sub, m.flows[i]), append(m.at, i)
	}
	return m.retry(errs, &m.result.Replaced)
}
