package keepalived

import (
	"path/filepath"
	"strings"
	"testing"

	"ctsync/daemon/nstest"
)

// accepted are configurations as people write them. The real keepalived accepts each without a message.
var accepted = map[string]string{
	"plain": instances + `
vrrp_sync_group syncgrp {
  group {
    V1
    "V 2"
  }
  notify_master "/bin/true master syncgrp" # comment {
  notify_backup "/bin/true backup syncgrp"
  notify_fault  "/bin/true fault syncgrp"
  notify_stop   "/bin/true stop syncgrp"
}
`,
	"terse": instances + `! vrrp_sync_group no {
vrrp_sync_group syncgrp{
  group{
    V1
    "V 2"
  }
  notify "/bin/true"
}
`,
	"braces below": instances + `vrrp_sync_group "syncgrp"
{
  group
  {
    V1
    "V 2"
  }
  notify /bin/true
}
`,
	"included": "include parts/*.inc\n",
	"conditional": instances + `$NAME=syncgrp
@main vrrp_sync_group syncgrp {
@^main vrrp_sync_group syncgrp {
  group {
    V1
    "V 2"
  }
  notify /bin/true
}
`,
}

// instances are what a sync group has for members.
const instances = `global_defs {
  router_id "a#b!c"
  script_user root
  enable_script_security
}
vrrp_instance V1 {
  interface sync0
  virtual_router_id 1
  virtual_ipaddress {
    192.0.2.1
  }
}
vrrp_instance "V 2"
{
  interface sync0 ! {
  virtual_router_id 2
  virtual_ipaddress {
    192.0.2.2 # }
  }
}
`

// TestAccepted compares what we read with what the real keepalived reads.
func TestAccepted(t *testing.T) {
	nstest.RequireCommand(t, "keepalived", "keepalived")
	dir, ns, peer := t.TempDir(), nstest.New(t), nstest.New(t)
	nstest.Veth(t, ns, "sync0", nil, peer, "sync0", nil)
	for name, text := range accepted {
		path := filepath.Join(dir, strings.ReplaceAll(name, " ", "-")+".conf")
		write(t, path, text)
		if name == "included" {
			group := strings.Index(accepted["plain"], "vrrp_sync_group")
			write(t, filepath.Join(dir, "parts", "1.inc"), accepted["plain"][:group])
			write(t, filepath.Join(dir, "parts", "2.inc"), "include ../group.conf\n")
			write(t, filepath.Join(dir, "group.conf"), accepted["plain"][group:])
		}
		out, err := ns.Exec(t.Context(), "keepalived", "-t", "-i", "main", "-f", path).CombinedOutput()
		if err != nil || len(out) > 0 {
			t.Errorf("%s: keepalived -t: %v\n%s", name, err, out)
		}
		c, err := Read(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Groups) == 0 || c.Groups[0].Name != "syncgrp" || len(c.Complaints("syncgrp")) > 0 || c.Doubt != "" {
			t.Errorf("%s: %+v, %q", name, c, c.Complaints("syncgrp"))
		}
		if len(c.Complaints("other")) != 1 {
			t.Errorf("%s: a group that does not exist: %q", name, c.Complaints("other"))
		}
	}
}
