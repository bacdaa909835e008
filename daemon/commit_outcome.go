package daemon

import (
	"fmt"

	"golang.org/x/sys/unix"

	"ctsync/daemon/flow"
)

// degrade tries once more, without it, the flows that failed for something this router does not have: the helper
// module, or the master flow. Better a connection without its helper than none.
func (m *commitment) degrade(errs []unix.Errno) error {
	m.sub, m.at = m.sub[:0], m.at[:0]
	for i, e := range errs {
		f := &m.flows[i]
		switch {
		case e == unix.EOPNOTSUPP && f.Has.Is(flow.HasHelper):
			m.degraded(f, "helper "+flow.HelperName(&f.Helper))
			f.Has &^= flow.HasHelper
		case e == unix.ENOENT && f.Has.Is(flow.HasMaster):
			m.degraded(f, "master")
			f.Has &^= flow.HasMaster
		default:
			continue
		}
		m.sub, m.at = append(m.sub, *f), append(m.at, i)
	}
	return m.retry(errs, &m.result.Created)
}

// retry creates the flows of m.sub, writes their outcome to errs and counts successes in n.
func (m *commitment) retry(errs []unix.Errno, n *uint64) error {
	if len(m.sub) == 0 {
		return nil
	}
	if err := m.k.Create(m.sub, m.subErrs[:len(m.sub)]); err != nil {
		return fmt.Errorf("create conntrack entries: %w", err)
	}
	for j, i := range m.at {
		errs[i] = m.subErrs[j]
		if errs[i] == 0 {
			*n++
		}
	}
	return nil
}

// failures counts what is left by errno.
func (m *commitment) failures(errs []unix.Errno) {
	for i, e := range errs {
		switch {
		case e == errAlive:
			m.lost(&m.flows[i], "another connection lives here on its tuples")
		case e != 0:
			m.lost(&m.flows[i], unix.ErrnoName(e))
		}
	}
}

func (m *commitment) lost(f *flow.Flow, why string) {
	m.result.Failed++
	m.result.Errors.Count(why, 1)
	m.name(f, "not restored: "+why)
}

func (m *commitment) degraded(f *flow.Flow, without string) {
	m.result.Degraded.Count(without, 1)
	m.name(f, "restored without its "+without+", which this kernel does not have")
}

func (m *commitment) name(f *flow.Flow, what string) {
	m.result.Name(flowName(f) + ": " + what)
}

// flowName names a flow for people: protocol, source, destination.
func flowName(f *flow.Flow) string {
	b := append([]byte(f.Orig.Proto.String()), ' ')
	b = append(f.Orig.AppendSource(b), " > "...)
	return string(f.Orig.AppendDestination(b))
}
