package control

import (
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"ctsync/daemon/flow"
)

// document is the description of the API, which these tests hold to what the code does.
func document(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// section returns what stands below a heading, up to the next one of any kind.
func section(t *testing.T, doc, heading string) string {
	t.Helper()
	_, rest, ok := strings.Cut(doc, "\n"+heading+"\n")
	if !ok {
		t.Errorf("docs/api.md has no heading %q", heading)
		return ""
	}
	text, _, _ := strings.Cut(rest, "\n#")
	return text
}

// Every call has a section with a line to try it, and there is none of a call that is not there.
func TestDocumentHasEveryCall(t *testing.T) {
	doc := document(t)
	b := fake()
	b.Metrics = http.NotFoundHandler()
	routes := NewServer(b, nil).routes()
	for path, r := range routes {
		text := section(t, doc, "## "+r.method+" "+path)
		curl := regexp.MustCompile(`(?m)^    curl --unix-socket \S+ .*http://ctsync` + path + `['?\s]`)
		if !curl.MatchString(text + "\n") {
			t.Errorf("%s has no curl line", path)
		}
		for _, p := range r.params {
			if !strings.Contains(text, "| `"+p+"` |") {
				t.Errorf("%s: nothing about the parameter %s", path, p)
			}
		}
		if !strings.Contains(doc, fmt.Sprintf("| [`%s %s`](#", r.method, path)) {
			t.Errorf("%s is not in the list of calls", path)
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^## (GET|POST) (\S+)$`).FindAllStringSubmatch(doc, -1) {
		if r, ok := routes[m[2]]; !ok || r.method != m[1] {
			t.Errorf("%s %s is described and is not there", m[1], m[2])
		}
	}
	for _, v := range []Verb{Commit, Flush, Resync, Bulk, Request, Purge, Reset, Restart} {
		if !strings.Contains(section(t, doc, "## POST /v1/actions"), "\n| `"+string(v)+"` |") {
			t.Errorf("nothing about the verb %s", v)
		}
	}
	for _, o := range Orders {
		if !strings.Contains(section(t, doc, "## GET /v1/flows"), "`"+o+"`") {
			t.Errorf("nothing about sort=%s", o)
		}
	}
}

func TestDocumentHasEveryCode(t *testing.T) {
	text := section(t, document(t), "## Errors")
	for code, s := range status {
		if !strings.Contains(text, fmt.Sprintf("| `%s` | %d |", code, s)) {
			t.Errorf("nothing about code %s with status %d", code, s)
		}
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| \\d+").FindAllStringSubmatch(text, -1) {
		if _, ok := status[Code(m[1])]; !ok {
			t.Errorf("code %s is described and is not there", m[1])
		}
	}
	limits := []int{maxBody, maxHeader}
	for r := range ranks {
		limits = append(limits, connectionRoom[r], connectionEach[r], streamRoom[r], streamEach[r])
		limits = append(limits, watchRoom[r], watchEach[r])
	}
	for _, limit := range limits {
		if !strings.Contains(text, fmt.Sprint(limit)) {
			t.Errorf("nothing about the limit %d", limit)
		}
	}
}

// Every type that travels has its table, with every field and its type, and no other.
func TestDocumentHasEveryField(t *testing.T) {
	doc := document(t)
	seen := map[string]bool{}
	for _, v := range []any{
		Status{}, Statistics{}, Snapshot{}, Transition{}, Entry{}, ExpectEntry{}, Notification{}, Action{}, ActionLine{},
		Error{}, Groups{}, DifferenceJSON{}, EventJSON{}, Resend{}, LogPage{},
	} {
		described(t, doc, reflect.TypeOf(v), seen)
	}
	for _, m := range regexp.MustCompile(`(?m)^#### (\w+)$`).FindAllStringSubmatch(doc, -1) {
		if !seen[m[1]] {
			t.Errorf("type %s is described and does not travel", m[1])
		}
	}
}

func described(t *testing.T, doc string, typ reflect.Type, seen map[string]bool) {
	t.Helper()
	name := typeWord(typ)
	if seen[name] {
		return
	}
	seen[name] = true
	text := section(t, doc, "#### "+name)
	rows := strings.Count(text, "\n| `")
	for _, f := range reflect.VisibleFields(typ) {
		tag, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous {
			continue
		}
		// A pointer: there may be none.
		if len(f.Index) > 1 && typ.Field(f.Index[0]).Type == reflect.TypeFor[*flow.JSON]() {
			if !strings.Contains(text, "with the fields of the Flow") {
				t.Errorf("%s: nothing about the fields of the Flow", name)
			}
			continue
		}
		word := typeWord(f.Type)
		if options != "" {
			word += "?"
		}
		if !strings.Contains(text, fmt.Sprintf("\n| `%s` | %s |", tag, word)) {
			t.Errorf("%s: no row for `%s` | %s", name, tag, word)
		}
		rows--
		for e := f.Type; ; e = e.Elem() {
			if k := e.Kind(); k == reflect.Pointer || k == reflect.Slice || k == reflect.Array {
				continue
			}
			if e.Kind() == reflect.Struct && e != reflect.TypeFor[time.Time]() && e != reflect.TypeFor[netip.Addr]() {
				described(t, doc, e, seen)
			}
			break
		}
	}
	if rows != 0 {
		t.Errorf("%s: %d rows too many", name, rows)
	}
}

// typeWord is what the document calls a type.
func typeWord(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[time.Time]():
		return "time"
	case reflect.TypeFor[Duration]():
		return "seconds"
	case reflect.TypeFor[netip.Addr]():
		return "address"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return typeWord(t.Elem())
	case reflect.Slice:
		return "list of " + typeWord(t.Elem())
	case reflect.Array:
		return "two of " + typeWord(t.Elem())
	case reflect.Map:
		return "counts by name"
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Struct:
		switch name := strings.TrimSuffix(t.Name(), "JSON"); name {
		case "Entry", "":
			return "Flow"
		case "ExpectEntry":
			return "Expectation"
		case "ProtoTuple":
			return "NamedTuple"
		default:
			return name
		}
	}
	return "number"
}
