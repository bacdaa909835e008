// Package conntrackd says what stands in ctsync's configuration for each word of conntrackd.conf.
package conntrackd

import (
	"slices"
	"strings"
)

// Word is a word of conntrackd.conf(5), of conntrackd 1.4.7, and what stands in its place here.
type Word struct {
	Word string
	Use  string // the key here, or "" if there is none
	Why  string // what else there is to say; without a key it begins with NotNeeded or NotHere
}

// The beginnings of Why without a key.
const (
	NotNeeded = "not needed: "
	NotHere   = "not in ctsync: " // an operator who relies on it must know
)

// Words returns all words. README's chapter about the migration has the same table.
func Words() []Word { return slices.Clone(words) }

var words = []Word{
	{"Sync", "", NotNeeded + "keys stand at the top of the file"},
	{"General", "", NotNeeded + "keys stand at the top of the file"},
	{"Mode", "mode", `"ftfw" only: NOTRACK and ALARM are not in ctsync`},
	{"ResendQueueSize", "", NotNeeded + "what the peer has not acknowledged stays in the cache"},
	{"ACKWindowSize", "", NotNeeded + "ctsync acknowledges as the peer sends"},
	{"CommitTimeout", "", NotNeeded + "a flow is restored with the timeout that it has left"},
	{"PurgeTimeout", "purge-timeout", ""},
	{"DisableExternalCache", "disable-external-cache", ""},
	{"DisableInternalCache", "", NotHere + "it belongs to NOTRACK"},
	{"StartupResync", "startup-resync", "true unless set"},
	{"RefreshTime", "", NotHere + "it belongs to ALARM"},
	{"CacheTimeout", "", NotHere + "it belongs to ALARM"},
	{"Multicast", "[interface.NAME]", "without peer; the Default one first"},
	{"UDP", "[interface.NAME]", "with peer; the Default one first"},
	{"TCP", "", NotHere + "use UDP, which FTFW makes reliable"},
	{"IPv4_address", "mcast-group", "of Multicast; of UDP it is listen-address; in a Filter see Address"},
	{"IPv6_address", "mcast-group", "of Multicast; of UDP it is listen-address; in a Filter see Address"},
	{"IPv4_interface", "listen-address", ""},
	{"IPv6_interface", "", NotNeeded + "conntrackd ignores it too"},
	{"IPv4_Destination_Address", "peer", "in [interface.NAME]"},
	{"IPv6_Destination_Address", "peer", "in [interface.NAME]"},
	{"Group", "port", "in [interface.NAME]"},
	{"Port", "port", "in [interface.NAME]"},
	{"Interface", "[interface.NAME]", "NAME is the interface"},
	{"SndSocketBuffer", "sync-queue-size", "in MB"},
	{"RcvSocketBuffer", "sync-queue-size", "in MB"},
	{"Checksum", "", NotNeeded + "always on"},
	{"ErrorQueueLength", "", NotHere + "it belongs to TCP"},
	{"Options", "", NotNeeded + "keys stand at the top of the file"},
	{"TCPWindowTracking", "tcp-window-tracking", ""},
	{"ExpectationSync", "expect-sync", `["all"] for on; ras, q.931 and h.245 are "h323", rpc is "nfs", tns is "sqlnet"`},
	{"Systemd", "", NotNeeded + "always on under systemd"},
	{"Nice", "", NotNeeded + "conntrackd ignores it too"},
	{"HashSize", "", NotNeeded + "the caches grow by themselves"},
	{"HashLimit", "cache-limit", ""},
	{"LogFile", "", NotNeeded + "the log goes to stderr, so to the journal; ctsync show log has its last lines"},
	{"Syslog", "disable-syslog", "the other way round; syslog is used only where there is no journal"},
	{"LockFile", "", NotNeeded + "the control socket is the lock"},
	{"UNIX", "socket", "the Path in it"},
	{"Path", "socket", ""},
	{"Backlog", "", NotNeeded + "conntrackd ignores it too"},
	{"NetlinkBufferSize", "event-listen-queue-size", "in MB; it is the limit, the buffer starts at half of it"},
	{"NetlinkBufferSizeMaxGrowth", "event-listen-queue-size", "in MB"},
	{"SocketBufferSize", "event-listen-queue-size", "in MB"},
	{"SocketBufferSizeMaxGrowth", "event-listen-queue-size", "in MB"},
	{"SocketBufferSizeMaxGrown", "event-listen-queue-size", "in MB"},
	{"NetlinkOverrunResync", "", NotNeeded + "lost events are made up for at once"},
	{"NetlinkEventsReliable", "", NotNeeded + "lost events are made up for at once"},
	{"PollSecs", "", NotHere + "it follows events; without any it reads the kernel's table every 2 s"},
	{"EventIterationLimit", "", NotNeeded + "no work holds up the others for more than about a millisecond"},
	{"Filter", "", NotNeeded + "accept-protocol, ignore-address and so on stand at the top of the file"},
	{"Kernelspace", "", NotNeeded + "the filter applies in the kernel and in the daemon"},
	{"Userspace", "", NotNeeded + "the filter applies in the kernel and in the daemon"},
	{"Protocol", "accept-protocol", "or ignore-protocol"},
	{"Address", "ignore-address", `or accept-address; From Userspace "src:A" and "reply-src:A", From Kernelspace "A"`},
	{"State", "accept-state", "or ignore-state"},
	{"Scheduler", "", NotNeeded + "the kernel's buffer for events is large"},
	{"Type", "", NotNeeded + "see Scheduler and Helper"},
	{"Priority", "", NotNeeded + "see Scheduler"},
	{"Stats", "", NotHere + "it replaces Sync, and logs flows that have ended; ctsync events shows them"},
	{"Helper", "", NotHere + "user-space helpers stay with conntrackd"},
	{"Setup", "", NotHere + "it belongs to Helper"},
	{"QueueNum", "", NotHere + "it belongs to Helper"},
	{"QueueLen", "", NotHere + "it belongs to Helper"},
	{"Policy", "", NotHere + "it belongs to Helper"},
	{"ExpectMax", "", NotHere + "it belongs to Helper"},
	{"ExpectTimeout", "", NotHere + "it belongs to Helper"},
}

// Hint answers an unknown key that is a word of conntrackd.conf, however it is spelt, or the words of a filter in their
// order there, such as state-accept. It is a clause that begins with a colon, or "" if there is no such word.
func Hint(name string) string {
	plain := func(s string) string {
		return strings.ToLower(strings.NewReplacer("-", "", "_", "", " ", "").Replace(s))
	}
	given := plain(name)
	for _, policy := range []string{"accept", "ignore"} {
		for _, set := range []string{"protocol", "address", "state"} {
			if given == set+policy {
				return ": write " + policy + "-" + set
			}
		}
	}
	for _, w := range words {
		switch {
		case plain(w.Word) != given:
		case w.Use == "":
			return ": conntrackd's " + w.Word + " is " + w.Why
		case w.Why == "":
			return ": for conntrackd's " + w.Word + " write " + w.Use
		default:
			return ": for conntrackd's " + w.Word + " write " + w.Use + " (" + w.Why + ")"
		}
	}
	return ""
}
