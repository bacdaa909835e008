package cache

import "ctsync/daemon/flow"

// Which router owns a flow. Where the peer's flows are in this kernel too, the internal cache must not hold them as
// this router's own. An event shows that packets of the flow crossed this router; a dump does not.

// Touched reports whether an event reported the live flow with the original tuple key, not only a dump or a commit.
func (n *Internal) Touched(key *flow.Tuple) bool {
	r, _ := n.find(key)
	return r != 0 && !n.body(r).is(dead) && n.heard(r).touched.has(r.number())
}

// ForgetTouched makes every flow untouched. It takes the same short time whatever the cache holds.
func (n *Internal) ForgetTouched() {
	clear(n.h4.touched)
	clear(n.h6.touched)
}

// Known reports whether the live flow with the original tuple key was sent to the peer in this session.
func (n *Internal) Known(key *flow.Tuple) bool {
	r, _ := n.find(key)
	return r != 0 && !n.body(r).is(dead) && n.out.known(r)
}

// Disown drops the live flow with the original tuple key and counts it as destroyed. Its end is not sent, because the
// flow is the peer's. Disown reports whether there was one.
func (n *Internal) Disown(key *flow.Tuple) bool {
	r, _ := n.find(key)
	if r == 0 || n.body(r).is(dead) {
		return false
	}
	n.hide(r)
	n.drop(r, &n.body(r).state)
	return true
}
