package daemon

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"ctsync/daemon/flow"
)

// conflicts deals with the flows of a block that the kernel refused with EEXIST. What stands there is looked at: the
// same flow is updated in place and keeps its counters and window state; a stranger (a bare entry that a packet made
// before the commit, or another flow on our reply tuple) is deleted, and the flow created.
func (m *commitment) conflicts(ctx context.Context, errs []unix.Errno) error {
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
	return m.replace(ctx, errs, strangers)
}

// sortOut leaves in m.sub and m.at the flows that stand in the kernel already, and returns the others by index in the
// block; what stands in their place is in m.found, at the front.
func (m *commitment) sortOut(errs []unix.Errno) []int {
	var strangers []int
	same := 0
	for j, i := range m.at {
		f := &m.flows[i]
		switch {
		case m.subErrs[j] == 0 && m.found[j].Same(f):
			m.inherit(f, &m.found[j])
			if m.beside && nothingNew(&m.found[j], f) {
				errs[i] = 0
				m.result.Updated++
				continue
			}
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

// inherit gives f what its entry in the kernel has and no update may take away: that answers were seen here already, and
// whether it is an expected flow.
func (m *commitment) inherit(f, have *flow.Flow) {
	f.Status |= have.Status & (flow.StatusSeenReply | flow.StatusAssured)
	f.Status = f.Status&^flow.StatusExpected | have.Status&flow.StatusExpected
	if f.Has.Is(flow.HasMaster) && !have.Has.Is(flow.HasMaster) {
		m.degraded(f, "master")
		f.Has &^= flow.HasMaster
	}
	if m.beside {
		keepProgress(f, have)
	}
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
		if f := &m.flows[i]; sub[j] == unix.ENOSPC && f.Has.Is(flow.HasLabels) {
			// No rule here uses labels, so there is no room for them; everything else has been changed.
			m.degraded(f, "labels")
			f.Has &^= flow.HasLabels
			errs[i] = 0
		}
		if errs[i] == 0 {
			m.result.Updated++
		}
	}
	return nil
}

// replaceRounds is how often a flow is tried again: its two tuples may be taken by two entries, and a packet may make a
// new bare entry after the old one was deleted.
const replaceRounds = 3

// replace deletes what is in the way of the given flows, which is in m.found, and creates them.
func (m *commitment) replace(ctx context.Context, errs []unix.Errno, strangers []int) error {
	for round := 0; len(strangers) > 0 && round < replaceRounds; round++ {
		if round > 0 {
			m.findStrangers(strangers)
		}
		if m.beside {
			var err error
			if strangers, err = m.spare(ctx, errs, strangers); err != nil {
				return err
			}
		}
		if err := m.deleteFound(len(strangers)); err != nil {
			return err
		}
		m.sub, m.at = m.sub[:0], m.at[:0]
		for _, i := range strangers {
			m.sub, m.at = append(m.sub, m.flows[i]), append(m.at, i)
		}
		if err := m.retry(errs, &m.result.Replaced); err != nil {
			return err
		}
		strangers = slices.DeleteFunc(strangers, func(i int) bool { return errs[i] != unix.EEXIST })
	}
	return nil
}

// findStrangers puts into m.found what stands in the way of each of the given flows.
func (m *commitment) findStrangers(strangers []int) {
	for j, i := range strangers {
		f, found := &m.flows[i], &m.found[j]
		if m.k.Get(&f.Orig, flow.Original, found) != nil && m.k.Get(&f.Reply, flow.Original, found) != nil {
			found.Has = 0 // gone meanwhile: creating is enough
		}
	}
}

// deleteFound deletes the first n of m.found. One that is gone by now is what we want; any other failure shows in the
// create that follows.
func (m *commitment) deleteFound(n int) error {
	m.sub = m.sub[:0]
	for j := range n {
		if m.found[j].Has != 0 {
			m.sub = append(m.sub, m.found[j])
		}
	}
	if len(m.sub) == 0 {
		return nil
	}
	if err := m.k.Delete(m.sub, m.subErrs[:len(m.sub)]); err != nil {
		return fmt.Errorf("delete conntrack entries: %w", err)
	}
	for j := range m.sub {
		if m.subErrs[j] == 0 {
			m.removed = append(m.removed, m.sub[j])
		}
	}
	return nil
}
