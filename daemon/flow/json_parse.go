package flow

import (
	"fmt"
	"strconv"
)

// take copies *p into *dst and sets a in f.Has. A nil p changes nothing.
func take[T any](f *Flow, dst *T, p *T, a Attr) {
	if p != nil {
		*dst = *p
		f.Has |= a
	}
}

// Flow is the inverse of Flow.JSON.
func (j *JSON) Flow() (Flow, error) {
	var f Flow
	if err := j.tuples(&f); err != nil {
		return Flow{}, err
	}
	if err := j.texts(&f); err != nil {
		return Flow{}, err
	}
	take(&f, &f.Timeout, j.Timeout, HasTimeout)
	take(&f, &f.Mark, j.Mark, HasMark)
	take(&f, &f.ID, j.ID, HasID)
	take(&f, &f.Use, j.Use, HasUse)
	take(&f, &f.TCPWScale, j.TCPWScale, HasTCPWScale)
	take(&f, &f.TCPFlags, j.TCPFlags, HasTCPFlags)
	take(&f, &f.SCTPVTag, j.SCTPVTag, HasSCTP)
	take(&f, &f.DCCPRole, j.DCCPRole, HasDCCP)
	take(&f, &f.Packets, j.Packets, HasCounters)
	take(&f, &f.Bytes, j.Bytes, HasCounters)
	take(&f, &f.Start, j.Start, HasTimestamp)
	take(&f, &f.Stop, j.Stop, HasTimestamp)
	if j.SeqAdj != nil {
		f.SeqAdj = [2]SeqAdj{SeqAdj(j.SeqAdj[0]), SeqAdj(j.SeqAdj[1])}
		f.Has |= HasSeqAdj
	}
	if j.Synproxy != nil {
		f.Synproxy = Synproxy(*j.Synproxy)
		f.Has |= HasSynproxy
	}
	return f, nil
}

func (j *JSON) tuples(f *Flow) error {
	family, err := ParseFamily(j.Family)
	if err != nil {
		return err
	}
	proto, err := ParseProto(j.Protocol)
	if err != nil {
		return err
	}
	if f.Orig, err = j.Orig.tuple(family, proto, j.Zone|j.OrigZone); err != nil {
		return err
	}
	if j.Reply != nil {
		if f.Reply, err = j.Reply.tuple(family, proto, j.Zone|j.ReplyZone); err != nil {
			return err
		}
		f.Has |= HasReply
	}
	if j.Master == nil {
		return nil
	}
	if proto, err = ParseProto(j.Master.Protocol); err != nil {
		return err
	}
	masterFamily := IPv6
	if j.Master.Src.Is4() {
		masterFamily = IPv4
	}
	f.Master, err = j.Master.tuple(masterFamily, proto, j.Zone|j.OrigZone)
	f.Has |= HasMaster
	return err
}

// texts reads what JSON shows by name.
func (j *JSON) texts(f *Flow) error {
	if err := j.state(f); err != nil {
		return err
	}
	if j.Status != nil {
		status, err := ParseStatus(j.Status)
		if err != nil {
			return err
		}
		f.Status = status
		f.Has |= HasStatus
	}
	if err := setText(f.Helper[:], j.Helper, &f.Has, HasHelper); err != nil {
		return err
	}
	if j.Labels != nil {
		f.Has |= HasLabels
	}
	for _, bit := range j.Labels {
		if bit < 0 || bit >= 8*len(f.Labels) {
			return fmt.Errorf("parse label %d: out of range", bit)
		}
		f.Labels[bit/8] |= 1 << (bit % 8)
	}
	return nil
}

func (j *JSON) state(f *Flow) error {
	if j.State == "" {
		return nil
	}
	proto := f.Orig.Proto
	s, err := ParseState(proto, j.State)
	if n, numErr := strconv.ParseUint(j.State, 10, 8); err != nil && numErr == nil && States(proto) != nil {
		s, err = uint8(n), nil
	}
	if err != nil {
		return err
	}
	switch proto {
	case TCP:
		f.TCPState = s
		f.Has |= HasTCPState
	case SCTP:
		f.SCTPState = s
		f.Has |= HasSCTP
	case DCCP:
		f.DCCPState = s
		f.Has |= HasDCCP
	}
	return nil
}
