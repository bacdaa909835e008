package control

import (
	"os"
	"os/user"
	"slices"
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
