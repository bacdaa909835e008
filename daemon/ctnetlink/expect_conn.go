package ctnetlink

import (
	"fmt"

	"golang.org/x/sys/unix"

	"ctsync/daemon/flow"
)

// DumpExpectations reads every expectation of family (0 = all) and calls fn for each, as Dump does for flows.
func (c *Conn) DumpExpectations(family flow.Family, fn func(*flow.Expectation) error) (interrupted bool, err error) {
	b, at := openMessage(c.out[:0], msgExpectGet, unix.NLM_F_DUMP, uint8(family))
	setSubsystem(b[at:], subsysExpect)
	closeMessage(b, at)
	return c.dumpRecords(b, "expectations",
		func(msg []byte) error { return DecodeExpectation(msg, &c.expect) },
		func() error { return fn(&c.expect) })
}

// CreateExpectations makes the expectations in the kernel, in their order; see AppendExpectCreate for what is sent and
// Create for errs: EEXIST the tuple is expected already, ENOENT no such master, EOPNOTSUPP the master has no helper or
// there is none of that name, EINVAL no such function or class, EMFILE too many expectations, EBUSY another expectation
// overlaps.
func (c *Conn) CreateExpectations(list []flow.Expectation, errs []unix.Errno) error {
	return c.apply(len(list), errs, func(b []byte, i int) []byte { return AppendExpectCreate(b, &list[i]) })
}

// UpdateExpectations sets the timeouts of existing expectations, found by Expect and its zone. See Create for errs;
// ENOENT means no such expectation.
func (c *Conn) UpdateExpectations(list []flow.Expectation, errs []unix.Errno) error {
	return c.apply(len(list), errs, func(b []byte, i int) []byte { return AppendExpectUpdate(b, &list[i]) })
}

// DeleteExpectations deletes expectations by Expect and its zone and, where Has HasID, by ID. See Create for errs.
func (c *Conn) DeleteExpectations(list []flow.Expectation, errs []unix.Errno) error {
	return c.apply(len(list), errs, func(b []byte, i int) []byte { return AppendExpectDelete(b, &list[i]) })
}

// GetExpectation reads the expectation that a connection with the original tuple key, in its zone, would fulfil into e.
// The error is unix.ENOENT when there is none.
func (c *Conn) GetExpectation(key *flow.Tuple, e *flow.Expectation) error {
	var decoded error
	err := c.ask(AppendExpectGet(c.out[:0], key), func(msg []byte) { decoded = DecodeExpectation(msg, e) })
	if err == nil {
		err = decoded
	}
	if err != nil {
		*e = flow.Expectation{}
		return fmt.Errorf("get expectation: %w", err)
	}
	return nil
}
