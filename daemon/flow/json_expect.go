package flow

import (
	"encoding/json"
	"fmt"
)

// ExpectationJSON is an Expectation as the control API and `--json` show it. An attribute that the expectation does not
// carry is left out.
type ExpectationJSON struct {
	Family  string          `json:"family"`
	Zone    uint16          `json:"zone,omitzero"`
	Expect  ProtoTupleJSON  `json:"expect"`
	Mask    *ProtoTupleJSON `json:"mask,omitzero"`
	Master  ProtoTupleJSON  `json:"master"`
	NAT     *ProtoTupleJSON `json:"nat,omitzero"`
	NATDir  *uint32         `json:"nat_dir,omitzero"` // 0 original, 1 reply
	Timeout *uint32         `json:"timeout,omitzero"` // seconds
	Flags   *uint32         `json:"flags,omitzero"`   // 1 permanent, 2 inactive, 4 userspace
	Class   *uint32         `json:"class,omitzero"`
	Helper  string          `json:"helper,omitzero"`
	Fn      string          `json:"fn,omitzero"`
	ID      *uint32         `json:"id,omitzero"`
}

// MarshalJSON writes e.JSON().
func (e Expectation) MarshalJSON() ([]byte, error) { return json.Marshal(e.JSON()) }

// UnmarshalJSON reads an ExpectationJSON into e. On error e does not change.
func (e *Expectation) UnmarshalJSON(b []byte) error {
	var j ExpectationJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	g, err := j.Expectation()
	if err != nil {
		return err
	}
	*e = g
	return nil
}

// JSON returns e as the struct that MarshalJSON writes.
func (e *Expectation) JSON() ExpectationJSON {
	number := func(a Attr, v uint32) *uint32 {
		if !e.Has.Is(a) {
			return nil
		}
		return &v
	}
	optional := func(a Attr, t *Tuple) *ProtoTupleJSON {
		if !e.Has.Is(a) {
			return nil
		}
		j := t.protoJSON()
		return &j
	}
	j := ExpectationJSON{
		Family:  e.Expect.Family.String(),
		Zone:    e.Expect.Zone,
		Expect:  e.Expect.protoJSON(),
		Mask:    optional(HasMask, &e.Mask),
		Master:  e.Master.protoJSON(),
		NAT:     optional(HasNAT, &e.NAT),
		NATDir:  number(HasNAT, e.NATDir),
		Timeout: number(HasTimeout, e.Timeout),
		Flags:   number(HasFlags, e.Flags),
		Class:   number(HasClass, e.Class),
		ID:      number(HasID, e.ID),
	}
	if e.Has.Is(HasHelper) {
		j.Helper = nameText(e.Helper[:])
	}
	if e.Has.Is(HasFn) {
		j.Fn = nameText(e.Fn[:])
	}
	return j
}

// Expectation is the inverse of Expectation.JSON. The expected tuple and the master get the zone.
func (j *ExpectationJSON) Expectation() (Expectation, error) {
	e := Expectation{Has: HasMaster}
	family, err := ParseFamily(j.Family)
	if err != nil {
		return Expectation{}, err
	}
	for _, part := range [...]struct {
		from *ProtoTupleJSON
		to   *Tuple
		has  Attr
		zone uint16
	}{
		{&j.Expect, &e.Expect, 0, j.Zone},
		{&j.Master, &e.Master, HasMaster, j.Zone},
		{j.Mask, &e.Mask, HasMask, 0},
		{j.NAT, &e.NAT, HasNAT, 0},
	} {
		if part.from == nil {
			continue
		}
		proto, err := ParseProto(part.from.Protocol)
		if err != nil {
			return Expectation{}, err
		}
		if *part.to, err = part.from.tuple(family, proto, part.zone); err != nil {
			return Expectation{}, err
		}
		e.Has |= part.has
	}
	e.NATDir = value(j.NATDir)
	for _, part := range [...]struct {
		from *uint32
		to   *uint32
		has  Attr
	}{
		{j.Timeout, &e.Timeout, HasTimeout},
		{j.Flags, &e.Flags, HasFlags},
		{j.Class, &e.Class, HasClass},
		{j.ID, &e.ID, HasID},
	} {
		if part.from != nil {
			*part.to = *part.from
			e.Has |= part.has
		}
	}
	if err := setText(e.Helper[:], j.Helper, &e.Has, HasHelper); err != nil {
		return Expectation{}, err
	}
	if err := setText(e.Fn[:], j.Fn, &e.Has, HasFn); err != nil {
		return Expectation{}, err
	}
	return e, nil
}

// setText copies a name, which must leave room for its NUL, and sets bit in has. An empty name is an absent one.
func setText(dst []byte, s string, has *Attr, bit Attr) error {
	if len(s) >= len(dst) {
		return fmt.Errorf("parse name %q: longer than %d characters", s, len(dst)-1)
	}
	if s != "" {
		copy(dst, s)
		*has |= bit
	}
	return nil
}
