package ctnetlink

import (
	"bufio"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ctsync/daemon/flow"
)

// vector is a message of a real kernel (6.18, x86-64) and the line of "conntrack -E -o xml,id" for it, where there is
// one.
type vector struct {
	Kind string // NEW, UPDATE, DESTROY; DUMP and others have no line
	Hex  string
	XML  string
	msg  []byte
}

func vectors(t testing.TB) []vector {
	t.Helper()
	file, err := os.Open("testdata/events.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	z, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	var vs []vector
	for lines := bufio.NewScanner(z); lines.Scan(); {
		var v vector
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		if v.msg, err = hex.DecodeString(v.Hex); err != nil {
			t.Fatal(err)
		}
		vs = append(vs, v)
	}
	return vs
}

func TestRecordedMessages(t *testing.T) {
	kinds := map[string]Kind{"NEW": EventNew, "UPDATE": EventUpdate, "DESTROY": EventDestroy}
	withXML := 0
	for _, v := range vectors(t) {
		for b := v.msg; len(b) > 0; {
			h, msg, rest, ok := nextMessage(b)
			if !ok {
				t.Fatalf("%s: no netlink message", v.Hex)
			}
			b = rest
			kind, ok := eventKind(h)
			var f flow.Flow
			if err := DecodeFlow(msg, &f); !ok || err != nil {
				t.Fatalf("%s: type %#x, error %v", v.Hex, h.Type, err)
			}
			checkPresence(t, msg, &f)
			if v.XML == "" {
				continue
			}
			withXML++
			want, known := kinds[v.Kind]
			if !known || kind != want || !strings.Contains(v.XML, `<flow type="`+strings.ToLower(v.Kind)) {
				t.Errorf("kind %v of %s", kind, v.Kind)
			}
			got := parseXML(t, "<conntrack>"+v.XML+"</conntrack>")[0]
			if diff := cmp.Diff(got, shownInXML(with(f, func(f *flow.Flow) { f.Has = 0 }))); diff != "" {
				t.Errorf("%s\n%s\n(-conntrack +decoded)\n%s", v.Hex, v.XML, diff)
			}
		}
	}
	if withXML < 300 {
		t.Errorf("only %d messages had a line to compare with", withXML)
	}
}

// checkPresence compares f.Has with the attributes that stand at the top level of msg.
func checkPresence(t *testing.T, msg []byte, f *flow.Flow) {
	t.Helper()
	top := map[uint16]flow.Attr{
		ctaTupleReply: flow.HasReply, ctaStatus: flow.HasStatus, ctaTimeout: flow.HasTimeout, ctaMark: flow.HasMark,
		ctaID: flow.HasID, ctaUse: flow.HasUse, ctaTupleMaster: flow.HasMaster, ctaHelp: flow.HasHelper,
		ctaSeqAdjOrig: flow.HasSeqAdj, ctaLabels: flow.HasLabels, ctaCountersOrig: flow.HasCounters,
		ctaTimestamp: flow.HasTimestamp,
	}
	var want, mask flow.Attr
	for _, bit := range top {
		mask |= bit
	}
	a := attrs{rest: msg[headerLen:]}
	for a.next() {
		want |= top[a.typ]
	}
	if f.Has&mask != want {
		t.Errorf("%x: has %v, carries %v", msg, f.Has&mask, want)
	}
}
