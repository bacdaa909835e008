package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ctsync/daemon/control"
)

// section is one of conntrackd's -s words. Its text is conntrackd's byte for byte, its JSON has the same counters.
type section struct {
	name string
	text func([]byte, control.Statistics) []byte
	json func(control.Statistics) any
}

// sections returns the sections in the order in which conntrackd compares an abbreviation with them: "r" is runtime and
// "rs" is rsqueue.
func sections() []section {
	return []section{
		{"network", appendNetwork, func(s control.Statistics) any {
			return struct {
				control.Tracking
				Link control.LinkStatistics `json:"link"`
			}{s.Tracking, s.ActiveLink()}
		}},
		{"cache", appendCaches, cachesOf},
		{"runtime", appendRuntime, func(s control.Statistics) any {
			return struct {
				Uptime   control.Duration          `json:"uptime_seconds"`
				Kernel   control.KernelStatistics  `json:"kernel"`
				Requests control.RequestStatistics `json:"requests"`
			}{s.Uptime, s.Kernel, s.Requests}
		}},
		{"multicast", appendLinks, func(s control.Statistics) any { return s.Links }},
		{"link", appendLinks, func(s control.Statistics) any { return s.Links }},
		{"rsqueue", nil, nil}, // a list of its own
		{
			"process", func(b []byte, _ control.Statistics) []byte { return b },
			func(control.Statistics) any { return []any{} },
		},
		{"queue", appendQueues, func(s control.Statistics) any { return s.Session }},
		{"ct", func(b []byte, s control.Statistics) []byte {
			return appendTable(b, s.Internal, s.External, s.Inject.Counts(), s)
		}, cachesOf},
		{"expect", appendExpect, func(s control.Statistics) any { return s.Expect }},
	}
}

// caches are the counters of a table's two caches, for JSON.
type caches struct {
	Internal control.CacheStats `json:"internal"`
	External control.CacheStats `json:"external"`

	Inject *control.InjectCounts `json:"inject,omitempty"` // with disable-external-cache, instead of External
}

// cachesOf returns the counters of the main table.
func cachesOf(s control.Statistics) any { return caches{s.Internal, s.External, s.Inject.Counts()} }

// sectionWords are the words that the help names. Not named are multicast, conntrackd's old word for link, and ct,
// which shows the same as no word.
const sectionWords = "network|cache|runtime|link|rsqueue|queue|expect|process"

// findSection returns the section that a word, perhaps abbreviated, names.
func findSection(word string) (section, error) {
	for _, s := range sections() {
		if word != "" && strings.HasPrefix(s.name, word) {
			return s, nil
		}
	}
	want := strings.ReplaceAll(sectionWords, "|", ", ")
	return section{}, usageError{fmt.Errorf("unexpected %q: want one of %s, or nothing", word, want)}
}

// sectionArgs is a cobra check: at most one word, which names a section.
func sectionArgs(cmd *cobra.Command, args []string) error {
	switch len(args) {
	case 0:
		return nil
	case 1:
		_, err := findSection(args[0])
		return err
	}
	return usageError{fmt.Errorf("unexpected %q: %q takes one word", args[1], cmd.CommandPath())}
}

// showSection prints one section.
func (a *app) showSection(ctx context.Context, word string) error {
	s, err := findSection(word)
	switch {
	case err != nil:
		return err
	case s.name == "rsqueue":
		return a.resend(ctx)
	case s.name == "multicast":
		fmt.Fprintln(a.stderr, "ctsync: multicast is an old name: use \"show statistics link\"")
	}
	return a.ask(ctx, func(ctx context.Context, c *control.Client) error {
		v, err := c.Statistics(ctx)
		if err != nil {
			return err
		}
		if a.json {
			return a.printJSON(s.json(v))
		}
		if s.name == "expect" && v.Expect == nil {
			fmt.Fprintln(a.stderr, "ctsync: ExpectationSync is disabled: set expect-sync in the configuration")
		}
		return a.print(s.text(nil, v))
	})
}

// resend prints the messages that the peer has not acknowledged yet.
func (a *app) resend(ctx context.Context) error {
	format := control.FormatConntrackd
	if a.json {
		format = control.FormatNDJSON
	}
	return a.ask(ctx, func(ctx context.Context, c *control.Client) error {
		r, err := c.ResendText(ctx, format)
		if err != nil {
			return err
		}
		_, err = spool(a.stdout, r)
		return errors.Join(err, r.Close())
	})
}

// appendLinkCounters appends the three lines of a link and an empty one.
func appendLinkCounters(b []byte, l *control.LinkStatistics) []byte {
	b = fmt.Appendf(b, "%20d Bytes sent %20d Bytes recv\n", l.BytesSent, l.BytesReceived)
	b = fmt.Appendf(b, "%20d Pckts sent %20d Pckts recv\n", l.PacketsSent, l.PacketsReceived)
	return fmt.Appendf(b, "%20d Error send %20d Error recv\n\n", l.ErrorsSent, l.ErrorsReceived)
}

// appendActiveLink appends the link that sends, as conntrackd prints it below other counters.
func appendActiveLink(b []byte, s *control.Statistics) []byte {
	l := s.ActiveLink()
	b = fmt.Appendf(b, "%s traffic (active device=%s):\n", l.Transport, l.Device)
	return appendLinkCounters(b, &l)
}

// appendLinks appends every link: conntrackd's -s link.
func appendLinks(b []byte, s control.Statistics) []byte {
	for i := range s.Links {
		l := &s.Links[i]
		b = fmt.Appendf(b, "%s traffic device=%s status=%s role=%s:\n", l.Transport, l.Device, l.State, l.Role)
		b = appendLinkCounters(b, l)
	}
	return b
}

// appendNetwork appends conntrackd's -s network. ctsyncd sends no malformed messages.
func appendNetwork(b []byte, s control.Statistics) []byte {
	m := s.Tracking.Malformed
	b = append(b, "network statistics:\n\trecv:\n"...)
	for _, r := range []struct {
		name string
		n    uint64
	}{
		{"Malformed messages", m.Total()}, {"Wrong protocol version", m.BadVersion}, {"Malformed header", m.BadHeader},
		{"Malformed payload", m.BadPayload}, {"Bad message type", m.BadType}, {"Truncated message", m.Truncated},
		{"Bad message size", m.BadSize},
	} {
		b = fmt.Appendf(b, "\t\t%s:\t%20d\n", r.name, r.n)
	}
	b = fmt.Appendf(b, "\tsend:\n\t\tMalformed messages:\t%20d\n\n", 0)
	b = append(b, "sequence tracking statistics:\n\trecv:\n"...)
	b = fmt.Appendf(b, "\t\tPackets lost:\t\t%20d\n\t\tPackets before:\t\t%20d\n\n", s.Tracking.Lost, s.Tracking.Before)
	return appendActiveLink(b, &s)
}

// appendCaches appends conntrackd's -s cache of both caches.
func appendCaches(b []byte, s control.Statistics) []byte {
	b = appendCacheDetail(b, "internal", s.Internal)
	if s.Inject != nil {
		return appendInjected(b, s.Inject.Counts())
	}
	return appendCacheDetail(b, "external", s.External)
}

// appendCacheDetail appends one cache. Two of conntrackd's counters are always 0: an update creates an entry that is
// missing, and the limit of the cache bounds its memory.
func appendCacheDetail(b []byte, name string, c control.CacheStats) []byte {
	b = fmt.Appendf(b, "cache:%s\tactive objects:\t\t%12d\n", name, c.Objects)
	b = fmt.Appendf(b, "\tactive/total entries:\t\t%12d/%12d\n", c.Active, c.Total)
	b = fmt.Appendf(b, "\tcreation OK/failed:\t\t%12d/%12d\n", c.Created, c.CreateFailed)
	b = fmt.Appendf(b, "\t\tno memory available:\t%12d\n\t\tno space left in cache:\t%12d\n", 0, c.Full)
	b = fmt.Appendf(b, "\tupdate OK/failed:\t\t%12d/%12d\n\t\tentry not found:\t%12d\n", c.Updated, c.UpdateFailed, 0)
	b = fmt.Appendf(b, "\tdeletion created/failed:\t%12d/%12d\n", c.Destroyed, c.DestroyFailed)
	return fmt.Appendf(b, "\t\tentry not found:\t%12d\n\n", c.DestroyFailed)
}

// appendRuntime appends conntrackd's -s runtime. ctsyncd has no child processes, and select and wait have no
// counterpart that could fail without ending the daemon.
func appendRuntime(b []byte, s control.Statistics) []byte {
	k := &s.Kernel
	b = fmt.Appendf(b, "daemon uptime: %s\n\nnetlink stats:\n", uptime(time.Duration(s.Uptime)))
	b = fmt.Appendf(b, "\tevents received:\t%20d\n\tevents filtered:\t%20d\n", k.Events, k.Filtered)
	b = fmt.Appendf(b, "\tevents unknown type:\t\t%12d\n\tcatch event failed:\t\t%12d\n", k.Unknown, k.Malformed)
	b = fmt.Appendf(b, "\tdump unknown type:\t\t%12d\n\tnetlink overrun:\t\t%12d\n", k.DumpMalformed, k.Overruns)
	b = fmt.Appendf(b, "\tflush kernel table:\t\t%12d\n\tresync with kernel table:\t%12d\n", k.Purges, k.Repairs)
	b = fmt.Appendf(b, "\tcurrent buffer size (in bytes):\t%12d\n\nruntime stats:\n", k.BufferBytes)
	b = fmt.Appendf(b, "\tchild process failed:\t\t%12d\n", 0)
	b = fmt.Appendf(b, "\t\tchild process segfault:\t%12d\n\t\tchild process termsig:\t%12d\n", 0, 0)
	b = fmt.Appendf(b, "\tselect failed:\t\t\t%12d\n\twait failed:\t\t\t%12d\n", 0, 0)
	b = fmt.Appendf(b, "\tlocal read failed:\t\t%12d\n", s.Requests.ReadFailed)
	return fmt.Appendf(b, "\tlocal unknown request:\t\t%12d\n\n", s.Requests.Unknown)
}

// uptime formats a duration as conntrackd does.
func uptime(d time.Duration) string {
	days, hours, minutes := int(d.Hours())/24, int(d.Hours())%24, int(d.Minutes())%60
	text := ""
	if days > 0 {
		text = fmt.Sprintf("%d day(s) ", days)
	}
	if hours > 0 {
		text += fmt.Sprintf("%d h ", hours)
	}
	return text + fmt.Sprintf("%d min", minutes)
}

// appendQueues appends conntrackd's -s queue: what waits to be sent, and what was sent and is not acknowledged. Both
// accept everything: the first has room for every record, and when the second is full the first waits. There is no
// queue of datagrams that could not be sent (errorq): they are lost, counted at the link, and retransmitted on the
// peer's request.
func appendQueues(b []byte, s control.Statistics) []byte {
	p := &s.Session
	b = fmt.Appendf(b, "allocated queue nodes:\t\t%12d\n\n", p.UnacknowledgedControl)
	for _, q := range []struct {
		name     string
		n, limit uint64
	}{
		{"txqueue", p.Waiting, p.WaitingLimit}, {"errorq", 0, 0},
		{"rsqueue", p.Unacknowledged + p.UnacknowledgedControl, p.ResendLimit},
	} {
		b = fmt.Appendf(b, "queue %s:\ncurrent elements:\t\t%12d\n", q.name, q.n)
		b = fmt.Appendf(b, "maximum elements:\t\t%12d\nnot enough space errors:\t%12d\n\n", q.limit, 0)
	}
	return b
}

// appendExpect appends conntrackd's -s expect. It is empty while expectations are not replicated.
func appendExpect(b []byte, s control.Statistics) []byte {
	if s.Expect == nil {
		return b
	}
	return appendTable(b, s.Expect.Internal, s.Expect.External, s.Expect.Inject, s)
}
