package config_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"ctsync/daemon/config"
)

// FuzzParse holds Parse to what callers rely on: a Config that is whole or Problems that lie within the file.
func FuzzParse(f *testing.F) {
	f.Add([]byte(tables))
	f.Add([]byte(tables + "peer = 'fe80::2%eth0'"))
	for _, b := range badFiles {
		f.Add([]byte(b.text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := config.Parse("f", data)
		if (c == nil) == (err == nil) {
			t.Fatalf("Parse = %v, %v", c, err)
		}
		if err != nil {
			checkProblems(t, data, err)
			return
		}
		if len(c.Interfaces) < 1 || len(c.Interfaces) > config.MaxInterfaces {
			t.Fatalf("%d links", len(c.Interfaces))
		}
		for i := range c.Interfaces {
			checkLink(t, c, &c.Interfaces[i])
		}
		switch {
		case (c.SyncGroup == "") == (c.Instance == ""):
			t.Errorf("sync-group %q, instance %q: want one of them", c.SyncGroup, c.Instance)
		case c.McastGroup.IsValid() && (!c.McastGroup.IsMulticast() || c.McastGroup.Zone() != ""):
			t.Errorf("group %v", c.McastGroup)
		case c.EventListenQueueSize < 1<<20, c.SyncQueueSize < 1<<20, c.CacheLimit < 0, c.SocketGID < -1:
			t.Errorf("sizes %+v", c)
		case c.Coalesce < 0, c.SweepInterval <= 0, c.PurgeTimeout <= 0:
			t.Errorf("times %+v", c)
		case !strings.HasPrefix(c.Socket, "/"), !strings.HasPrefix(c.StateDirectory, "/"):
			t.Errorf("paths %q %q", c.Socket, c.StateDirectory)
		case len(c.Changes(c)) != 0:
			t.Error("differs from itself")
		}
	})
}

func checkLink(t *testing.T, c *config.Config, link *config.Interface) {
	listen := c.Listen(link)
	switch {
	case link.Name == "", len(link.Name) > 15, strings.ContainsAny(link.Name, "/: \n"):
		t.Errorf("interface %q", link.Name)
	case link.Port < 1 || link.Port > 65535:
		t.Errorf("port %d", link.Port)
	case link.Peer.IsValid() == c.McastGroup.IsValid():
		t.Errorf("peer %v, group %v: want one of them", link.Peer, c.McastGroup)
	case link.Peer.IsMulticast(), link.Peer.Zone() != "":
		t.Errorf("peer %v", link.Peer)
	case len(c.ListenAddress) > 0 && len(listen) == 0:
		t.Errorf("listen-address %v has nothing for %+v", c.ListenAddress, link)
	}
	for _, a := range listen {
		if a.Zone() != "" || a == link.Peer || a.Is4() != c.Remote(link).Is4() {
			t.Errorf("%v of listen-address for %+v", a, link)
		}
	}
}

func checkProblems(t *testing.T, data []byte, err error) {
	var problems config.Problems
	if !errors.As(err, &problems) || len(problems) == 0 {
		t.Fatalf("%T %v", err, err)
	}
	lines := bytes.Split(data, []byte("\n"))
	for _, p := range problems {
		if p.Text == "" || strings.Contains(p.Text, "\n") {
			t.Errorf("text %q is not one line", p.Text)
		}
		if p.Line == 0 && p.Column == 0 {
			continue
		}
		if p.Line < 1 || p.Line > len(lines) || p.Column < 1 || p.Column > len(lines[p.Line-1])+1 {
			t.Errorf("%v lies outside the file", p)
		}
	}
}
