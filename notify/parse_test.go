package notify

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ctsync/daemon/control"
)

func TestParse(t *testing.T) {
	group := func(name string, s control.State, prio int) control.Notification {
		return control.Notification{Type: control.TypeGroup, Name: name, State: s, Priority: prio}
	}
	instance := func(name string, s control.State, prio int) control.Notification {
		return control.Notification{Type: control.TypeInstance, Name: name, State: s, Priority: prio}
	}
	for _, c := range []struct {
		args string // separated by |
		want control.Notification
	}{
		{"master", group("", control.StateMaster, 0)},
		{"BACKUP", group("", control.StateBackup, 0)},
		{"Fault", group("", control.StateFault, 0)},
		{"stop", group("", control.StateStop, 0)},
		{"master|syncgrp", group("syncgrp", control.StateMaster, 0)},
		{"master|Sync Group 1", group("Sync Group 1", control.StateMaster, 0)},
		{"fault|\"syncgrp\"", group("syncgrp", control.StateFault, 0)},
		{"master|group", group("group", control.StateMaster, 0)},
		{"backup|master", group("master", control.StateBackup, 0)},
		{"backup|INSTANCE|VI_1", instance("VI_1", control.StateBackup, 0)},
		{"backup|GROUP|syncgrp", group("syncgrp", control.StateBackup, 0)},
		{"GROUP|syncgrp|MASTER|100", group("syncgrp", control.StateMaster, 100)},
		{"GROUP|\"syncgrp\"|MASTER|0", group("syncgrp", control.StateMaster, 0)},
		{"GROUP|syncgrp|MASTER", group("syncgrp", control.StateMaster, 0)},
		{"group|Syncgrp|stop|255", group("Syncgrp", control.StateStop, 255)},
		{"INSTANCE|VI_1|FAULT|254", instance("VI_1", control.StateFault, 254)},
		{"INSTANCE|VI_1|MASTER_RX_LOWER_PRI|100", instance("VI_1", "MASTER_RX_LOWER_PRI", 100)},
		{"INSTANCE|VI_1|DELETED|0", instance("VI_1", "DELETED", 0)},
		{"GROUP|MASTER|BACKUP|7", group("MASTER", control.StateBackup, 7)},
		{"master|GROUP|syncgrp|MASTER|0", group("syncgrp", control.StateMaster, 0)},
		{"master|INSTANCE|VI_1|MASTER|150", instance("VI_1", control.StateMaster, 150)},
		{"master|GROUP|syncgrp|BACKUP|0", group("syncgrp", control.StateBackup, 0)},
		{"master|syncgrp|GROUP|syncgrp|MASTER|0", group("syncgrp", control.StateMaster, 0)},
		{"fault|GROUP|GROUP|GROUP|MASTER|3", group("GROUP", control.StateMaster, 3)},
	} {
		got, err := Parse(strings.Split(c.args, "|"))
		if err != nil {
			t.Errorf("Parse(%s): %v", c.args, err)
			continue
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("Parse(%s) (-want +got):\n%s", c.args, d)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ args, says string }{
		{"", "want STATE"},
		{"primary", `"primary" is not a state`},
		{"GROUP", `"GROUP" is not a state`},
		{"GROUP|syncgrp", `"GROUP" is not a state`},
		{"GROUP|syncgrp|UP|0", `"UP" is not a state`},
		{"GROUP||MASTER|0", "name of the group is empty"},
		{"INSTANCE|\"\"|MASTER|0", "name of the instance is empty"},
		{"GROUP|g|MASTER|high", `priority "high"`},
		{"GROUP|g|MASTER|256", `priority "256"`},
		{"GROUP|g|MASTER|-1", `priority "-1"`},
		{"GROUP|g|MASTER|1|more", `unexpected word "more"`},
		{"master|g|h", "2 words after master"},
		{"master|g|GROUP|h", "3 words after master"},
		{"master|", "name of the group is empty"},
	} {
		var args []string
		if c.args != "" {
			args = strings.Split(c.args, "|")
		}
		got, err := Parse(args)
		if !errors.Is(err, errUsage) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("Parse(%s): error %v, want one that says %q", c.args, err, c.says)
		}
		if got != (control.Notification{}) {
			t.Errorf("Parse(%s): %+v with an error", c.args, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("master|GROUP|syncgrp|MASTER|0")
	f.Fuzz(func(t *testing.T, s string) {
		n, err := Parse(strings.Split(s, "|"))
		if err != nil && n != (control.Notification{}) {
			t.Errorf("%+v with %v", n, err)
		}
		if err == nil && n.State == "" {
			t.Error("no state and no error")
		}
	})
}
