package ctnetlink

import (
	"slices"

	"golang.org/x/net/bpf"
)

// program is a classic BPF program that is written backwards, from its end: classic BPF only jumps forward, so the
// targets of a jump are there when it is written and their distances are known.
type program struct {
	reversed []bpf.Instruction
	bridges  map[label]label // the last unconditional jump to a place that was out of reach
}

// label is a place in a program: the number of instructions from it to the end.
type label int

// add writes an instruction before the others and returns its place.
func (p *program) add(i bpf.Instruction) label {
	p.reversed = append(p.reversed, i)
	return label(len(p.reversed))
}

// skip is the distance to a place from an instruction that would be added now.
func (p *program) skip(to label) int { return len(p.reversed) - int(to) }

// maxSkip is how far a conditional jump reaches.
const maxSkip = 255

// test adds a comparison of the accumulator with v.
func (p *program) test(cond bpf.JumpTest, v uint32, yes, no label) label {
	for p.skip(yes) > maxSkip || p.skip(no) > maxSkip { // a bridge to one may move the other out of reach
		if p.skip(no) > maxSkip {
			no = p.bridge(no)
		} else {
			yes = p.bridge(yes)
		}
	}
	return p.add(bpf.JumpIf{Cond: cond, Val: v, SkipTrue: uint8(p.skip(yes)), SkipFalse: uint8(p.skip(no))})
}

// bridge returns a place within reach that leads to a far one.
func (p *program) bridge(to label) label {
	if b, ok := p.bridges[to]; ok && p.skip(b) <= maxSkip {
		return b
	}
	if p.bridges == nil {
		p.bridges = map[label]label{}
	}
	p.bridges[to] = p.add(bpf.Jump{Skip: uint32(p.skip(to))})
	return p.bridges[to]
}

// step is where one value of a 32-bit word, and those above it up to the next step, lead to.
type step struct {
	from uint32
	to   label
}

// search adds a binary search of the accumulator in steps, the first of which is from 0.
func (p *program) search(steps []step) label {
	switch {
	case len(steps) == 1:
		return steps[0].to
	case len(steps) == 3 && steps[0].to == steps[2].to && steps[1].from+1 == steps[2].from:
		return p.test(bpf.JumpEqual, steps[1].from, steps[1].to, steps[0].to)
	}
	mid := len(steps) / 2
	above := p.search(steps[mid:])
	below := p.search(steps[:mid])
	return p.test(bpf.JumpGreaterOrEqual, steps[mid].from, above, below)
}

// assemble returns the program as the kernel takes it, which begins with what was added last.
func (p *program) assemble() ([]bpf.RawInstruction, error) {
	forward := slices.Clone(p.reversed)
	slices.Reverse(forward)
	return bpf.Assemble(forward)
}
