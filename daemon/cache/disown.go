package cache

import "ctsync/daemon/flow"

// Whose a flow is: where the peer's flows stand in the kernel too, the internal cache must not hold them as this router's
// own. What tells is whether packets of a flow were seen here, which an event says and a dump does not.

// Touched reports whether an event told of the live flow with the original tuple key, not only a dump or a commit.
func (n *Internal) Touched(key *flow.Tuple) bool {
	r, _ := n.find(key)
	return r != 0 && !n.body(r).is(dead) && n.heard(r).touched.has(r.number())
}

// ForgetTouched makes every flow untouched. It takes the same short time whatever the cache holds.
func (n *Internal) ForgetTouched() {
	clear(n.h4.touched)
	clear(n.h6.touched)
}

// Known reports whether the peer was told of the live flow with the original tuple key in this conversation.
func (n *Internal) Known(key *flow.Tuple) bool {
	r, _ := n.find(key)
	return r != 0 && !n.body(r).is(dead) && n.out.known(r)
}

// Disown drops the live flow with the original tuple key, counts it as destroyed, and tells the peer nothing, because it
// is the peer's. It reports whether there was one.
func (n *Internal) Disown(key *flow.Tuple) bool {
	r, _ := n.find(key)
	if r == 0 || n.body(r).is(dead) {
		return false
	}
	n.hide(r)
	n.drop(r, &n.body(r).state)
	return true
}
