package config

import (
	"bufio"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"

	"ctsync/daemon/flow"
)

// Filter says which flows are replicated: those to which none of its fields objects.
type Filter struct {
	// AcceptProtocol (accept-protocol) holds the layer-4 protocols of the flows that are replicated. Empty means all
	// but IgnoreProtocol.
	AcceptProtocol []flow.Proto
	// IgnoreProtocol (ignore-protocol) holds the protocols of flows that are not replicated. It counts while
	// AcceptProtocol is empty. The default is IGMP and VRRP: a router says these for itself.
	IgnoreProtocol []flow.Proto
	// AcceptAddress (accept-address) holds networks and single addresses of which a flow must have one, each with the
	// sides of a flow on which it is looked for. Empty means that a flow need not.
	AcceptAddress []flow.Place
	// IgnoreAddress (ignore-address) holds those of flows that are not replicated.
	IgnoreAddress []flow.Place
	// IgnoreOwn ("own" in ignore-address) does the same for the addresses of this router's interfaces, as original
	// source or destination.
	IgnoreOwn bool
	// AcceptState (accept-state) holds the states in which TCP flows are replicated. Empty means all but IgnoreState.
	AcceptState []uint8
	// IgnoreState (ignore-state) holds states in which TCP flows are not replicated. Only one of the two is not empty.
	IgnoreState []uint8
	// AcceptStatus (accept-status) holds status bits that a flow must have: StatusSeenReply, StatusAssured or both.
	AcceptStatus uint32
}

// ownWord in ignore-address means the addresses of the router itself.
const ownWord = "own"

// sides are the words before an address, as in filters of the commands.
var sides = []struct {
	word  string
	sides flow.Sides
}{
	{"src", flow.OrigSrc}, {"dst", flow.OrigDst}, {"reply-src", flow.ReplySrc}, {"reply-dst", flow.ReplyDst},
}

// statusWord is a word of accept-status.
type statusWord struct {
	word string
	bit  uint32
}

var statusWords = []statusWord{{"replied", flow.StatusSeenReply}, {"assured", flow.StatusAssured}}

// protocols reads a list of protocols by name or number.
func (p *parser) protocols(n *node, dst *[]flow.Proto) {
	items, ok := p.list(n, "tcp")
	if !ok {
		return
	}
	var list []flow.Proto
	for _, item := range items {
		if item.kind != unstable.String && item.kind != unstable.Integer {
			p.problem(item.valueAt, "%s wants names or numbers of protocols, not %s", n.key, item)
			continue
		}
		proto, ok := protocolNamed(item.text)
		if !ok {
			p.problem(item.valueAt, "%s = %s is no protocol: write a name of /etc/protocols or a number from 0 to 255%s",
				n.key, quote(item.text), nearestProtocol(item.text))
			continue
		}
		list = append(list, proto)
	}
	slices.Sort(list)
	*dst = slices.Compact(list)
}

// etcProtocols has the names that an administrator gave to protocols.
const etcProtocols = "/etc/protocols"

// protocolNamed returns the protocol that a name in any case or a number means: the names that ctsync knows, and those
// of /etc/protocols.
func protocolNamed(name string) (flow.Proto, bool) {
	if proto, err := flow.ParseProto(name); err == nil {
		return proto, true
	}
	f, err := os.Open(etcProtocols)
	if err != nil {
		return 0, false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(line) // name, number, aliases
		if !slices.ContainsFunc(words, func(w string) bool { return strings.EqualFold(w, name) }) {
			continue
		}
		if v, err := strconv.ParseUint(words[min(1, len(words)-1)], 10, 8); err == nil {
			return flow.Proto(v), true
		}
	}
	return 0, false
}

func nearestProtocol(name string) string {
	var names []string
	for _, p := range flow.Protos() {
		names = append(names, p.String())
	}
	if near := flow.Nearest(strings.ToLower(name), names); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return ""
}

// addressRules reads a list of addresses and networks with the sides on which they count. own is where to note that the
// router's own addresses are among them; nil if they may not be.
func (p *parser) addressRules(n *node, dst *[]flow.Place, own *bool) {
	items, ok := p.list(n, "192.0.2.0/24")
	if !ok {
		return
	}
	wants := "addresses and networks"
	if own != nil {
		wants = fmt.Sprintf("addresses, networks and %q", ownWord)
	}
	for _, item := range items {
		switch {
		case item.kind != unstable.String:
			p.problem(item.valueAt, "%s wants %s in quotes, not %s", n.key, wants, item)
		case own != nil && item.text == ownWord:
			*own = true
		default:
			if place, ok := p.place(item, n.key, own != nil); ok {
				*dst = append(*dst, place)
			}
		}
	}
}

// place reads an address or a network, with or without a side before it.
func (p *parser) place(n *node, key string, own bool) (flow.Place, bool) {
	place, text := flow.Place{Sides: flow.OrigSides}, n.text
	if word, rest, ok := strings.Cut(n.text, ":"); ok {
		for _, s := range sides {
			if s.word == word {
				place.Sides, text = s.sides, strings.TrimSpace(rest)
			}
		}
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		a, err := netip.ParseAddr(text)
		switch {
		case err != nil && own:
			return p.badPlace(n, key, " is not an IPv4 or IPv6 address or network, nor %q", ownWord)
		case err != nil:
			return p.badPlace(n, key, " is not an IPv4 or IPv6 address or network")
		case a.Zone() != "":
			return p.badPlace(n, key, " has a zone, which flows do not have: write %q", a.WithZone(""))
		}
		prefix = netip.PrefixFrom(a, a.BitLen())
	}
	switch {
	case prefix.Addr().Is4In6() && prefix.IsSingleIP():
		return p.badPlace(n, key, " is an IPv4 address written as IPv6: write %q", prefix.Addr().Unmap())
	case prefix.Addr().Is4In6() && prefix.Bits() >= 96:
		return p.badPlace(n, key, " is an IPv4 network written as IPv6: write %q",
			netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96).Masked())
	case prefix != prefix.Masked():
		return p.badPlace(n, key, " has host bits set: write %q for the network or %q for the address", prefix.Masked(),
			prefix.Addr())
	}
	place.Net = prefix
	return place, true
}

func (p *parser) badPlace(n *node, key, format string, args ...any) (flow.Place, bool) {
	p.problem(n.valueAt, "%s = %s%s", key, quote(n.text), fmt.Sprintf(format, args...))
	return flow.Place{}, false
}

// tcpStates reads a list of states of TCP.
func (p *parser) tcpStates(n *node, dst *[]uint8) {
	items, ok := p.list(n, "ESTABLISHED")
	if !ok {
		return
	}
	var list []uint8
	for _, item := range items {
		state, err := flow.ParseState(flow.TCP, strings.ReplaceAll(item.text, "-", "_"))
		if item.kind != unstable.String || err != nil || state == flow.TCPNone {
			p.problem(item.valueAt, "%s = %s is no state of TCP: write any of %s, CLOSED, LISTEN", n.key,
				quote(item.text), strings.Join(flow.States(flow.TCP)[1:], ", "))
			continue
		}
		list = append(list, state)
	}
	slices.Sort(list)
	*dst = slices.Compact(list)
}

// acceptStatus reads the list of what a flow must be.
func (p *parser) acceptStatus(n *node) {
	items, _ := p.list(n, "assured")
	p.cfg.AcceptStatus = 0
	for _, item := range items {
		i := slices.IndexFunc(statusWords, func(w statusWord) bool { return strings.EqualFold(w.word, item.text) })
		if item.kind != unstable.String || i < 0 {
			p.problem(item.valueAt, "accept-status = %s is none of replied, assured", quote(item.text))
			continue
		}
		p.cfg.AcceptStatus |= statusWords[i].bit
	}
}

// filterRelations checks that a list of what passes and one of what does not pass are not given both.
func (p *parser) filterRelations() {
	for _, pair := range []struct {
		accept, ignore string
		both           bool
	}{
		{"accept-protocol", "ignore-protocol", len(p.cfg.AcceptProtocol) > 0 && len(p.cfg.IgnoreProtocol) > 0},
		{"accept-state", "ignore-state", len(p.cfg.AcceptState) > 0 && len(p.cfg.IgnoreState) > 0},
	} {
		accept, ignore := p.given[pair.accept], p.given[pair.ignore]
		if accept != nil && ignore != nil && pair.both {
			p.problem(ignore.at, "%s and %s (line %d) exclude each other: what is not accepted is ignored; remove one",
				pair.ignore, pair.accept, accept.at.line)
		}
	}
}

// The values of the filter's keys as texts to compare. Order and repetition mean nothing.

func protocolText(list []flow.Proto) string {
	var texts []string
	for _, p := range slices.Compact(slices.Sorted(slices.Values(list))) {
		texts = append(texts, p.Name())
	}
	return strings.Join(texts, " ")
}

func placeText(places []flow.Place, own bool) string {
	var texts []string
	for _, p := range places {
		side := ""
		for _, s := range sides {
			if s.sides == p.Sides {
				side = s.word + ":"
			}
		}
		texts = append(texts, side+network(p.Net))
	}
	if own {
		texts = append(texts, ownWord)
	}
	slices.Sort(texts)
	return strings.Join(slices.Compact(texts), " ")
}

func stateText(states []uint8) string {
	var texts []string
	for _, s := range states {
		texts = append(texts, flow.StateName(flow.TCP, s))
	}
	return strings.Join(texts, " ")
}

func statusText(bits uint32) string {
	var texts []string
	for _, w := range statusWords {
		if bits&w.bit != 0 {
			texts = append(texts, w.word)
		}
	}
	return strings.Join(texts, " ")
}
