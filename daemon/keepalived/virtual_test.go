package keepalived

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
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
    $NET.7/24
  }
  virtual_routes { 10.9.0.0/16 via 10.0.0.254 }
  virtual_ipaddress_excluded { 10.1.0.100/24 dev eth1 }
  authentication { auth_pass 10.0.0.9 }
}
vrrp_instance B {
  virtual_ipaddress
  {
    192.0.2.100
  }
}
static_ipaddress { 10.5.0.1/24 dev eth2 }
`
	c := parse("k", text, func(string) (string, error) { return "", nil }, filepath.Glob)
	got := strings.Trim(fmt.Sprint(c.Virtual), "[]")
	if want := "10.0.0.100 2001:db8::100 10.1.0.100 192.0.2.100"; got != want {
		t.Errorf("virtual addresses %s, want %s", got, want)
	}
	if Virtual(filepath.Join(t.TempDir(), "none")) != nil {
		t.Error("virtual addresses of a file that is not there")
	}
}

// TestAllVirtual: who warns for want of an address must know all of them.
func TestAllVirtual(t *testing.T) {
	for text, want := range map[string]bool{
		"vrrp_instance A {\n virtual_ipaddress {\n  10.0.0.1/24 dev lan0\n  2001:db8::1\n }\n}\n": true,
		"vrrp_instance A {\n virtual_ipaddress { 10.0.0.1 }\n}\n":                                 true,
		"vrrp_instance A {\n virtual_ipaddress {\n  $VIP\n  10.0.0.1\n }\n}\n":                    false,
		"vrrp_instance A {\n virtual_ipaddress {\n  @a 10.0.0.1\n }\n}\n":                         true, // it may be one of them
		"vrrp_instance A {\n}\n": false,
	} {
		path := filepath.Join(t.TempDir(), "k.conf")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if list, known := AllVirtual(path); known != want {
			t.Errorf("%q: %v, known %v", text, list, known)
		}
	}
	if _, known := AllVirtual("/nonexistent"); known {
		t.Error("the addresses of a file that does not exist are known")
	}
}
