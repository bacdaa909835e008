package keepalived

import (
	"fmt"
	"path/filepath"
	"testing"
)

func TestVirtual(t *testing.T) {
	text := `
vrrp_instance A {
  interface eth0
  unicast_src_ip 10.0.0.1
  virtual_ipaddress {
    10.0.0.100/24 brd 10.0.0.255 dev eth0 label eth0:1
    ! 10.0.0.101
    2001:db8::100
  }
  virtual_routes { 10.9.0.0/16 via 10.0.0.254 }
  virtual_ipaddress_excluded { dev eth1 10.1.0.100/24 }
  authentication { auth_pass 10.0.0.9 }
}
vrrp_instance B {
  virtual_ipaddress
  {
    ${NET}.100
  }
}
static_ipaddress { 10.5.0.1/24 dev eth2 }
`
	path := filepath.Join(t.TempDir(), "k.conf")
	for before, want := range map[string]string{
		"$NET=192.0.2": "[10.0.0.100 2001:db8::100 10.1.0.100 192.0.2.100] true",
		"":             "[10.0.0.100 2001:db8::100 10.1.0.100] false",
	} {
		write(t, path, before+text, 0o644)
		list, known := Read(path).Virtual()
		if got := fmt.Sprint(list, known); got != want {
			t.Errorf("%q: virtual addresses %s, want %s", before, got, want)
		}
	}
	if list, known := Read(path + ".none").Virtual(); list != nil || known {
		t.Error("virtual addresses of a file that is not there")
	}
}
