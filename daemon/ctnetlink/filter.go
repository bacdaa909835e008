package ctnetlink

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// maxIgnored is bounded by the 8-bit jumps of classic BPF.
const maxIgnored = 200

// Ignore makes the kernel drop events that the netlink sockets with these port ids asked for, before they take room in
// the buffer. It replaces what an earlier call said; with no port ids nothing is ignored. Events that wait in the
// buffer already are not affected, nor are those that such an entry raises later by itself: its updates by packets and
// its end by timeout carry port id 0 and arrive.
func (l *Listener) Ignore(portIDs ...uint32) error {
	if len(portIDs) == 0 {
		err := unix.SetsockoptInt(l.fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0)
		if err != nil && !errors.Is(err, unix.ENOENT) { // ENOENT: there was none
			return fmt.Errorf("detach netlink filter: %w", err)
		}
		return nil
	}
	raw, err := ignoreProgram(portIDs)
	if err != nil {
		return fmt.Errorf("assemble netlink filter: %w", err)
	}
	prog := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		prog[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	fprog := unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}
	if err := unix.SetsockoptSockFprog(l.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &fprog); err != nil {
		return fmt.Errorf("attach netlink filter: %w", err)
	}
	return nil
}

// ignoreProgram compares nlmsg_pid, which stands at offset 12 in host byte order and which BPF loads as big-endian.
func ignoreProgram(portIDs []uint32) ([]bpf.RawInstruction, error) {
	if len(portIDs) > maxIgnored {
		return nil, fmt.Errorf("%d port ids, at most %d", len(portIDs), maxIgnored)
	}
	prog := []bpf.Instruction{bpf.LoadAbsolute{Off: 12, Size: 4}}
	for i, id := range portIDs {
		toDrop := len(portIDs) - i // past the other comparisons and the accepting return
		prog = append(prog, bpf.JumpIf{Cond: bpf.JumpEqual, Val: networkOrder(id), SkipTrue: uint8(toDrop)})
	}
	prog = append(prog, bpf.RetConstant{Val: 1 << 31}, bpf.RetConstant{Val: 0})
	return bpf.Assemble(prog)
}

// networkOrder returns what a big-endian load of v, stored in host byte order, gives.
func networkOrder(v uint32) uint32 {
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], v)
	return binary.BigEndian.Uint32(b[:])
}
