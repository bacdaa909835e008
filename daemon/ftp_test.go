package daemon_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ctsync/daemon/nstest"
)

// An FTP session whose control connection is made through router A and whose data connection is made through router B,
// after B took over:
//
//	client ──┬── A ──┬── server      each router: FTP helper, source NAT of IPv4 to natAddress,
//	         └── B ──┘               and a firewall that lets nothing in but port 21 and what is expected
//
// The peers are Go code here; helper, NAT and firewall are the kernel's.

const (
	ftpClient4, ftpServer4 = "10.0.1.2", "10.0.2.2"
	ftpClient6, ftpServer6 = "fd00:1::2", "fd00:2::2"
	natAddress             = "10.0.2.100"
)

const ftpRules = `
table inet fw {
 ct helper ftp-std { type "ftp" protocol tcp; }
 chain pre { type filter hook prerouting priority 0; tcp dport 21 ct helper set "ftp-std"; }
 chain forward { type filter hook forward priority 0; policy drop;
  ct state invalid drop
  ct state established,related accept
  tcp dport 21 ct state new accept
 }
}
table ip nat {
 chain post { type nat hook postrouting priority 100; oifname "wan" ip saddr ` + ftpClient4 + ` snat to ` + natAddress + `; }
}`

// ftpLab is the network.
type ftpLab struct {
	t              *testing.T
	router         [2]*router
	client, server *nstest.NS
}

func newFTPLab(t *testing.T) *ftpLab {
	t.Helper()
	nstest.RequireCommand(t, "nft", "nftables")
	l := &ftpLab{t: t}
	l.router[0], l.router[1] = newPair(t)
	l.client, l.server = nstest.New(t), nstest.New(t)
	l.client.Run(t, "ip", "addr", "add", ftpClient4+"/32", "dev", "lo")
	l.client.Run(t, "ip", "addr", "add", ftpClient6+"/128", "dev", "lo")
	l.server.Run(t, "ip", "addr", "add", ftpServer4+"/32", "dev", "lo")
	l.server.Run(t, "ip", "addr", "add", ftpServer6+"/128", "dev", "lo")
	for i, r := range l.router {
		for _, side := range []struct {
			name   string
			ns     *nstest.NS
			v4, v6 string
			n      int
		}{{"lan", l.client, ftpClient4, ftpClient6, 1}, {"wan", l.server, ftpServer4, ftpServer6, 2}} {
			net4, net6 := fmt.Sprintf("10.%d.%d.", side.n, i+1), fmt.Sprintf("fd00:%d:%d::", side.n, i+1)
			nstest.Veth(t, r.ns, side.name, []string{net4 + "1/24", net6 + "1/64"}, side.ns, fmt.Sprintf("r%d", i),
				[]string{net4 + "2/24", net6 + "2/64"})
			r.ns.Run(t, "ip", "route", "add", side.v4, "via", net4+"2")
			r.ns.Run(t, "ip", "-6", "route", "add", side.v6, "via", net6+"2")
		}
		r.ns.Sysctl(t, "net.ipv4.ip_forward", "1")
		r.ns.Sysctl(t, "net.ipv6.conf.all.forwarding", "1")
		r.ns.Sysctl(t, "net.netfilter.nf_conntrack_tcp_loose", "0") // no connection is taken up in its middle
		r.ns.Run(t, "nft", ftpRules)
	}
	l.via(0)
	return l
}

// via makes the hosts use router i, as a move of the virtual addresses does.
func (l *ftpLab) via(i int) {
	l.t.Helper()
	route := func(ns *nstest.NS, dst, src string, n int) {
		if strings.Contains(dst, ":") {
			ns.Run(l.t, "ip", "-6", "route", "replace", dst, "via", fmt.Sprintf("fd00:%d:%d::1", n, i+1), "src", src)
			return
		}
		ns.Run(l.t, "ip", "route", "replace", dst, "via", fmt.Sprintf("10.%d.%d.1", n, i+1), "src", src)
	}
	route(l.client, ftpServer4, ftpClient4, 1)
	route(l.client, ftpServer6, ftpClient6, 1)
	route(l.server, natAddress, ftpServer4, 2)
	route(l.server, ftpClient6, ftpServer6, 2)
}

// dial connects from ns; listen listens in ns, on any port.
func dial(ns *nstest.NS, addr netip.AddrPort, within time.Duration) (c net.Conn, err error) {
	ns.Do(func() { c, err = net.DialTimeout("tcp", addr.String(), within) })
	return c, err
}

func (l *ftpLab) listen(ns *nstest.NS, addr string, port uint16) net.Listener {
	l.t.Helper()
	var ln net.Listener
	var err error
	ns.Do(func() { ln, err = net.Listen("tcp", netip.AddrPortFrom(netip.MustParseAddr(addr), port).String()) })
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { ln.Close() })
	return ln
}

// port returns the port of a listener.
func port(ln net.Listener) uint16 { return ln.Addr().(*net.TCPAddr).AddrPort().Port() }

// ftpMode is a method to open a data connection.
type ftpMode struct {
	name           string
	client, server string // addresses
	active         bool
	nat            bool // its expectation carries a translation
}

var ftpModes = []ftpMode{
	{"passive behind source NAT", ftpClient4, ftpServer4, false, true},
	{"active behind source NAT", ftpClient4, ftpServer4, true, true},
	{"extended passive, IPv6", ftpClient6, ftpServer6, false, false},
	{"extended active, IPv6", ftpClient6, ftpServer6, true, false},
}

// ftpSession is an FTP control connection seen from both of its ends.
type ftpSession struct {
	l              *ftpLab
	mode           ftpMode
	client, server net.Conn
	clientIn       *bufio.Reader
	serverIn       *bufio.Reader
	data           net.Listener   // of the side that waits for the data connection
	to             netip.AddrPort // where the other side was asked to connect
}

// open makes the control connection.
func (l *ftpLab) open(mode ftpMode) *ftpSession {
	l.t.Helper()
	ln := l.listen(l.server, mode.server, 21)
	defer ln.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		if c, err := ln.Accept(); err == nil {
			accepted <- c
		}
	}()
	s := &ftpSession{l: l, mode: mode}
	var err error
	server := netip.AddrPortFrom(netip.MustParseAddr(mode.server), 21)
	if s.client, err = dial(l.client, server, 10*time.Second); err != nil {
		l.t.Fatal(err)
	}
	s.server = <-accepted
	for _, c := range []net.Conn{s.client, s.server} {
		l.t.Cleanup(func() { c.Close() })
		if err := c.SetDeadline(time.Now().Add(60 * time.Second)); err != nil {
			l.t.Fatal(err)
		}
	}
	s.clientIn, s.serverIn = bufio.NewReader(s.client), bufio.NewReader(s.server)
	s.reply("220 ready")
	s.command("USER anonymous")
	s.reply("230 logged in")
	return s
}

// command says a line to the server and returns what arrives there; reply is the other direction.
func (s *ftpSession) command(line string) string { return s.say(s.client, s.serverIn, line) }
func (s *ftpSession) reply(line string) string   { return s.say(s.server, s.clientIn, line) }

func (s *ftpSession) say(to io.Writer, from *bufio.Reader, line string) string {
	s.l.t.Helper()
	if _, err := io.WriteString(to, line+"\r\n"); err != nil {
		s.l.t.Fatalf("%s: say %q: %v", s.mode.name, line, err)
	}
	got, err := from.ReadString('\n')
	if err != nil {
		s.l.t.Fatalf("%s: hear %q: %v", s.mode.name, line, err)
	}
	return strings.TrimSpace(got)
}

// announce says where the data connection is to go.
func (s *ftpSession) announce() {
	s.l.t.Helper()
	t := s.l.t
	six := strings.Contains(s.mode.client, ":")
	numbers := func(a string, p uint16) string {
		return fmt.Sprintf("%s,%d,%d", strings.ReplaceAll(a, ".", ","), p>>8, p&255)
	}
	parse := func(text string) netip.AddrPort {
		var a, b, c, d byte
		var hi, lo uint16
		if _, err := fmt.Sscanf(text, "%d,%d,%d,%d,%d,%d", &a, &b, &c, &d, &hi, &lo); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{a, b, c, d}), hi<<8|lo)
	}
	switch {
	case s.mode.active:
		s.data = s.l.listen(s.l.client, s.mode.client, 0)
		p := port(s.data)
		if six {
			s.command(fmt.Sprintf("EPRT |2|%s|%d|", s.mode.client, p))
			s.to = netip.AddrPortFrom(netip.MustParseAddr(s.mode.client), p)
			break
		}
		heard := s.command("PORT " + numbers(s.mode.client, p))
		if s.to = parse(strings.TrimPrefix(heard, "PORT ")); s.to.Addr().String() != natAddress {
			t.Fatalf("the server heard %q: the helper of router A did not translate it", heard)
		}
	case six:
		s.command("EPSV")
		s.data = s.l.listen(s.l.server, s.mode.server, 0)
		s.to = netip.AddrPortFrom(netip.MustParseAddr(s.mode.server), port(s.data))
		s.reply(fmt.Sprintf("229 Entering Extended Passive Mode (|||%d|)", s.to.Port()))
		return
	default:
		s.command("PASV")
		s.data = s.l.listen(s.l.server, s.mode.server, 0)
		heard := s.reply("227 Entering Passive Mode (" + numbers(s.mode.server, port(s.data)) + ").")
		s.to = parse(heard[strings.Index(heard, "(")+1:])
		return
	}
	s.reply("200 ok")
}

// transfer opens the data connection and moves a file over it.
func (s *ftpSession) transfer(within time.Duration) error {
	from := s.l.client
	if s.mode.active {
		from = s.l.server
	}
	got := make(chan string, 1)
	go func() {
		c, err := s.data.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		b, _ := io.ReadAll(c)
		got <- string(b)
	}()
	c, err := dial(from, s.to, within)
	if err != nil {
		return fmt.Errorf("data connection to %s: %w", s.to, err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "the file"); err != nil {
		return err
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		return err
	}
	select {
	case text := <-got:
		if text != "the file" {
			return fmt.Errorf("%q came over the data connection", text)
		}
		return nil
	case <-time.After(within):
		return fmt.Errorf("the file did not come")
	}
}
