// Package path learns what the path to the peer bears: how large a datagram, how much in flight, how soon an answer.
//
// It sees what the session sees: which messages were acknowledged and which were asked for again.
package path

// before reports whether a comes before b in serial order: numbers wrap at 2^32 and are at most 2^31 apart.
func before(a, b uint32) bool { return int32(a-b) < 0 }
