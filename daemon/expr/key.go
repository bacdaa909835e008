package expr

import (
	"errors"
	"slices"
	"strings"
	"time"

	"ctsync/daemon/flow"
)

// Key is a word that an expression may have in front of an operator.
type Key struct {
	Name    string
	Other   string   // another spelling, or ""
	Kind    string   // what a value is, for people
	Values  []string // all values, if the key takes names
	Example string   // a term
	Doc     string   // one line

	kind valueKind
	most uint64 // the greatest number
	need Need
	test test // of the values, whatever the relation
}

// test reports whether f, of these ages, has one of the values of t.
type test func(t *term, f *flow.Flow, a flow.Ages) bool

// Keys returns all keys in the order in which help lists them.
func Keys() []Key { return slices.Clone(keys) }

// keys is the table from which everything about a key comes. A test that reads the reply tuple finds zeros if the flow
// has none: an address that no flow has.
var keys = []Key{
	{
		Name: "proto", Other: "protocol", Kind: "protocol name or number", Example: "proto:tcp,udp",
		Doc: "layer-4 protocol", kind: kindProto,
		test: func(t *term, f *flow.Flow, _ flow.Ages) bool { return t.has(uint8(f.Orig.Proto)) },
	},
	{
		Name: "family", Kind: "ipv4 or ipv6", Values: []string{"ipv4", "ipv6"}, Example: "family:ipv6",
		Doc: "layer-3 protocol", kind: kindName,
		test: func(t *term, f *flow.Flow, _ flow.Ages) bool {
			return f.Orig.Family == flow.IPv4 && t.has(0) || f.Orig.Family == flow.IPv6 && t.has(1)
		},
	},
	address("addr", "address", "addr:10.0.0.7", "any of the four addresses",
		func(t *term, f *flow.Flow, _ flow.Ages) bool {
			o, r := &f.Orig, &f.Reply
			return t.covers(&o.Src, o.Family) || t.covers(&o.Dst, o.Family) ||
				t.covers(&r.Src, r.Family) || t.covers(&r.Dst, r.Family)
		}),
	address("src", "source", "src:10.0.0.0/8", "original source address",
		func(t *term, f *flow.Flow, _ flow.Ages) bool { return t.covers(&f.Orig.Src, f.Orig.Family) }),
	address("dst", "destination", "dst:2001:db8::/32", "original destination address",
		func(t *term, f *flow.Flow, _ flow.Ages) bool { return t.covers(&f.Orig.Dst, f.Orig.Family) }),
	address("reply-src", "rsrc", "reply-src:192.0.2.1-192.0.2.9",
		"source address of replies: the destination after translation",
		func(t *term, f *flow.Flow, _ flow.Ages) bool { return t.covers(&f.Reply.Src, f.Reply.Family) }),
	address("reply-dst", "rdst", "reply-dst:198.51.100.1",
		"destination address of replies: the source after translation",
		func(t *term, f *flow.Flow, _ flow.Ages) bool { return t.covers(&f.Reply.Dst, f.Reply.Family) }),
	port("port", "", "port:53", "any of the four ports",
		func(t *term, f *flow.Flow, _ flow.Ages) bool {
			return hasPorts(f) && (t.holds(uint64(f.Orig.SrcPort)) || t.holds(uint64(f.Orig.DstPort))) ||
				repliesHavePorts(f) && (t.holds(uint64(f.Reply.SrcPort)) || t.holds(uint64(f.Reply.DstPort)))
		}),
	port("sport", "", "sport:1024-65535", "original source port",
		func(t *term, f *flow.Flow, _ flow.Ages) bool { return hasPorts(f) && t.holds(uint64(f.Orig.SrcPort)) }),
	port("dport", "", "dport:80,443", "original destination port",
		func(t *term, f *flow.Flow, _ flow.Ages) bool { return hasPorts(f) && t.holds(uint64(f.Orig.DstPort)) }),
	port("reply-sport", "rsport", "reply-sport:8080", "source port of replies",
		func(t *term, f *flow.Flow, _ flow.Ages) bool {
			return repliesHavePorts(f) && t.holds(uint64(f.Reply.SrcPort))
		}),
	port("reply-dport", "rdport", "reply-dport>=32768", "destination port of replies",
		func(t *term, f *flow.Flow, _ flow.Ages) bool {
			return repliesHavePorts(f) && t.holds(uint64(f.Reply.DstPort))
		}),
	{
		Name: "state", Kind: "state of TCP, SCTP or DCCP", Values: stateValues, Example: "state:established",
		Doc: "state of the protocol", kind: kindName, test: testState,
	},
	{
		Name: "status", Kind: "status bit, replied or unreplied", Values: statusValues, Example: "status:assured",
		Doc: "the kernel's status bits; of a list, any one", kind: kindName, test: testStatus,
	},
	{
		Name: "nat", Kind: "yes, no, snat or dnat", Values: []string{"yes", "no", "snat", "dnat"}, Example: "nat:yes",
		Doc: "translation of source or destination", kind: kindName, test: testNAT,
	},
	{
		Name: "helper", Kind: "name, any or none", Example: "helper:ftp",
		Doc: "conntrack helper of the flow", kind: kindHelper, test: testHelper,
	},
	{
		Name: "expected", Kind: "yes or no", Values: []string{"yes", "no"}, Example: "expected:yes",
		Doc: "whether a helper expected the flow", kind: kindName,
		test: func(t *term, f *flow.Flow, _ flow.Ages) bool {
			expected := f.Has.Is(flow.HasMaster) || f.Status&flow.StatusExpected != 0
			return expected && t.has(0) || !expected && t.has(1)
		},
	},
	{
		Name: "zone", Kind: "number", Example: "zone:7",
		Doc: "conntrack zone of either direction", kind: kindNumber, most: 1<<16 - 1,
		test: func(t *term, f *flow.Flow, _ flow.Ages) bool {
			return t.holds(uint64(f.Orig.Zone)) || f.Has.Is(flow.HasReply) && t.holds(uint64(f.Reply.Zone))
		},
	},
	{
		Name: "mark", Kind: "number or value/mask", Example: "mark:0x10/0xff",
		Doc: "connection mark, 0 if there is none", kind: kindMark, most: 1<<32 - 1, test: testMark,
	},
	{
		Name: "label", Kind: "number of a bit", Example: "label:5",
		Doc: "connection label bits; of a list, any one", kind: kindLabel, most: 127, test: testLabel,
	},
	{
		Name: "timeout", Kind: "time", Example: "timeout<60s",
		Doc: "time until the entry expires if no packet comes", kind: kindTime, most: 1<<32 - 1, test: testTimeout,
	},
	{
		Name: "age", Kind: "time", Example: "age>30s",
		Doc:  "time since the flow was first seen (kernel: nf_conntrack_timestamp)",
		kind: kindTime, most: 1<<40 - 1, need: NeedAge,
		test: func(t *term, _ *flow.Flow, a flow.Ages) bool { return a.Age >= 0 && t.holds(uint64(a.Age/time.Second)) },
	},
	{
		Name: "idle", Kind: "time", Example: "idle>1m",
		Doc:  "time since the flow was last active; not in the kernel's table",
		kind: kindTime, most: 1<<40 - 1, need: NeedIdle,
		test: func(t *term, _ *flow.Flow, a flow.Ages) bool {
			return a.Idle >= 0 && t.holds(uint64(a.Idle/time.Second))
		},
	},
	{
		Name: "bytes", Kind: "size", Example: "bytes>1M",
		Doc:  "both directions; only in the kernel's table (nf_conntrack_acct)",
		kind: kindSize, most: 1<<63 - 1, need: NeedCounters,
		test: func(t *term, f *flow.Flow, _ flow.Ages) bool {
			return f.Has.Is(flow.HasCounters) && t.holds(f.Bytes[0]+f.Bytes[1])
		},
	},
	{
		Name: "packets", Kind: "number", Example: "packets>=1k",
		Doc:  "both directions; only in the kernel's table (nf_conntrack_acct)",
		kind: kindSize, most: 1<<63 - 1, need: NeedCounters,
		test: func(t *term, f *flow.Flow, _ flow.Ages) bool {
			return f.Has.Is(flow.HasCounters) && t.holds(f.Packets[0]+f.Packets[1])
		},
	},
	{
		Name: "id", Kind: "number", Example: "id:1015734848",
		Doc: "CONN ID of the kernel", kind: kindNumber, most: 1<<32 - 1,
		test: func(t *term, f *flow.Flow, _ flow.Ages) bool { return f.Has.Is(flow.HasID) && t.holds(uint64(f.ID)) },
	},
}

func address(name, other, example, doc string, test test) Key {
	return Key{
		Name: name, Other: other, Kind: "address, network or range", Example: example, Doc: doc, kind: kindAddress,
		test: test,
	}
}

func port(name, other, example, doc string, test test) Key {
	return Key{
		Name: name, Other: other, Kind: "port", Example: example, Doc: doc, kind: kindNumber, most: 1<<16 - 1,
		test: test,
	}
}

func hasPorts(f *flow.Flow) bool { return f.Orig.Proto.HasPorts() }

func repliesHavePorts(f *flow.Flow) bool { return f.Has.Is(flow.HasReply) && f.Reply.Proto.HasPorts() }

// keyNamed returns the key that has this name, in lower case, or nil.
func keyNamed(name string) *Key {
	name = strings.ReplaceAll(name, "_", "-")
	for i := range keys {
		if k := &keys[i]; name == k.Name || k.Other != "" && name == k.Other {
			return k
		}
	}
	return nil
}

// keyHint says which key was probably meant, or which keys there are.
func keyHint(name string) string {
	var names []string
	for _, k := range keys {
		names = append(names, k.Name)
	}
	if near := flow.Nearest(name, names); near != "" {
		return "did you mean " + near + "?"
	}
	return "want one of " + strings.Join(names, ", ") + ", or quote it to look for the text"
}

// want says what a value of k must be.
func (k *Key) want() string { return k.Kind + ", such as " + k.Example }

// hint is the error for a word that is no value of k. It offers the nearest of names.
func (k *Key) hint(word string, names []string) error {
	if near := flow.Nearest(strings.ReplaceAll(word, "_", "-"), names); near != "" {
		return errors.New("did you mean " + near + "?")
	}
	if k.Name == "state" && slices.Contains(statusValues, word) {
		return errors.New("did you mean status:" + word + "?")
	}
	if k.Name == "status" && slices.Contains(stateValues, word) {
		return errors.New("did you mean state:" + word + "?")
	}
	if len(k.Values) > 4 {
		return errors.New("want one of " + strings.Join(k.Values, ", "))
	}
	return errors.New("want " + k.want())
}
