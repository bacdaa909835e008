package config_test

import (
	"strings"
	"testing"
)

func TestExpectHelper(t *testing.T) {
	tests := []struct {
		list, yes, no, words string
	}{
		{"[]", "", "ftp sip", ""},
		{"['all']", "ftp tftp RAS anything", "", "ftp sip h323 nfs sqlnet"},
		{"['ftp']", "ftp FTP ftp-2121", "tftp sip f", "ftp"},
		{"['h323', 'sip']", "RAS Q.931 H.245 sip sip-5062", "ftp rpc", "h323 sip"},
		{"['nfs', 'sqlnet']", "rpc tns", "nfs sqlnet ftp", "nfs sqlnet"},
	}
	for _, tt := range tests {
		c := parse(t, "expect-sync = "+tt.list+"\n"+tables)
		if got := strings.Join(c.ExpectWords(), " "); got != tt.words {
			t.Errorf("%s: words %q", tt.list, got)
		}
		for name := range strings.FieldsSeq(tt.yes) {
			if !c.ExpectHelper(name) {
				t.Errorf("%s leaves out %s", tt.list, name)
			}
		}
		for name := range strings.FieldsSeq(tt.no + " ") {
			if c.ExpectHelper(name) {
				t.Errorf("%s has %s", tt.list, name)
			}
		}
	}
}
