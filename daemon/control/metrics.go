package control

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"os/user"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// metricsPath is the one call that is not under /v1: Prometheus asks for this name.
const metricsPath = "/metrics"

// ExporterGroup is the group that ctsync-exporter runs as.
const ExporterGroup = "ctsync-exporter"

// LookupExporterGroup returns the number of ExporterGroup. ok is false where there is no such group.
func LookupExporterGroup() (gid int, ok bool) {
	g, err := user.LookupGroup(ExporterGroup)
	if err != nil {
		return 0, false
	}
	gid, err = strconv.Atoi(g.Gid)
	return gid, err == nil
}

// Tags of acl(5), as the kernel's linux/posix_acl_xattr.h has them.
const (
	aclVersion   = 2
	aclUserObj   = 0x01
	aclGroupObj  = 0x04
	aclGroup     = 0x08
	aclMask      = 0x10
	aclOther     = 0x20
	aclReadWrite = 6
	aclNobody    = 0xffffffff // the id of an entry that names none
)

// LetIn lets the members of one more group connect to the socket. A file has one group, so this is an entry of its
// access control list.
func (l *Listener) LetIn(gid int) error {
	acl := binary.LittleEndian.AppendUint32(nil, aclVersion)
	for _, e := range []struct {
		tag, perm uint16
		id        uint32
	}{
		{aclUserObj, aclReadWrite, aclNobody}, {aclGroupObj, aclReadWrite, aclNobody},
		{aclGroup, aclReadWrite, uint32(gid)}, {aclMask, aclReadWrite, aclNobody}, {aclOther, 0, aclNobody},
	} {
		acl = binary.LittleEndian.AppendUint16(acl, e.tag)
		acl = binary.LittleEndian.AppendUint16(acl, e.perm)
		acl = binary.LittleEndian.AppendUint32(acl, e.id)
	}
	if err := unix.Lsetxattr(l.path, "system.posix_acl_access", acl, 0); err != nil {
		return fmt.Errorf("let group %s connect to %s: %w", groupName(uint32(gid)), l.path, err)
	}
	return nil
}

// scrapers are those who may connect only to read the metrics.
type scrapers struct {
	gid    uint32 // whose members may
	socket uint32 // the group of the socket, whose members may read everything
	some   bool   // there are any
}

// LimitToMetrics gives the members of group gid nothing but the metrics, unless they are also in the group of the
// socket or may act. Call it before Serve.
func (s *Server) LimitToMetrics(gid, socket int) {
	s.scrapers = scrapers{gid: uint32(gid), socket: uint32(socket), some: true}
}

func (c *Caller) in(gid uint32) bool { return c.GID == gid || slices.Contains(c.Groups, gid) }

// mayRead returns nil or why the caller may read only the metrics.
func (s *Server) mayRead(r *http.Request) *Error {
	if !s.scrapers.some || r.URL.Path == metricsPath {
		return nil
	}
	c, ok := CallerFrom(r.Context())
	if !ok || !c.in(s.scrapers.gid) || c.in(s.scrapers.socket) || s.actors.allow(&c) {
		return nil
	}
	return &Error{
		Code: CodeForbidden, Message: fmt.Sprintf("uid %d may read %s only", c.UID, metricsPath),
		Hint: "be in the group of the socket, see socket-group",
	}
}
