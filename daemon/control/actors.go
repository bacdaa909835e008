package control

import (
	"os"
	"os/user"
	"slices"
	"strconv"
)

// actors are those who may change something, which are fewer than those who may connect: the mode of the socket decides
// about these. root and the daemon's own user are always among them.
type actors struct {
	uid uint32 // the daemon's
	gid uint32 // whose members may act
}

// ownActors are the actors where nothing is configured: the group that the daemon runs as.
func ownActors() actors { return actors{uid: uint32(os.Geteuid()), gid: uint32(os.Getegid())} }

// ActBy makes the members of group gid those who may act, in place of the group that the daemon runs as. Call it before
// Serve.
func (s *Server) ActBy(gid int) { s.actors.gid = uint32(gid) }

func (a *actors) allow(c *Caller) bool {
	return c.UID == 0 || c.UID == a.uid || c.GID == a.gid || slices.Contains(c.Groups, a.gid)
}

// groupName returns the name of a group, or its number where it has none.
func groupName(gid uint32) string {
	number := strconv.FormatUint(uint64(gid), 10)
	if g, err := user.LookupGroupId(number); err == nil {
		return g.Name
	}
	return number
}
