package control

import (
	"math"
	"os"
	"os/user"
	"strconv"
)

// actors are the users who may change something. Fewer may act than may connect, which the mode of the socket decides.
// root and the daemon's own user are always among them.
type actors struct {
	uid uint32 // the daemon's
	gid uint32 // whose members may act
}

// ownActors are the actors where nothing is configured: the group that the daemon runs as.
func ownActors() actors { return actors{uid: uint32(os.Geteuid()), gid: uint32(os.Getegid())} }

// ActBy lets the members of group gid act, instead of those of the group that the daemon runs as. Call it before Serve.
func (s *Server) ActBy(gid int) { s.actors.gid = uint32(gid) }

func (a *actors) allow(c *Caller) bool { return a.rank(c) != reader }

func (a *actors) rank(c *Caller) rank {
	switch {
	case c.UID == 0 || c.UID == a.uid:
		return owner
	case c.in(a.gid):
		return actor
	}
	return reader
}

// taker returns whose place c takes. Those whom the kernel does not know are one reader.
func (a *actors) taker(c *Caller, known bool) taker {
	if !known {
		return taker{reader, math.MaxUint32}
	}
	return taker{a.rank(c), c.UID}
}

// groupName returns the name of a group, or its number where it has none.
func groupName(gid uint32) string {
	number := strconv.FormatUint(uint64(gid), 10)
	if g, err := user.LookupGroupId(number); err == nil {
		return g.Name
	}
	return number
}
