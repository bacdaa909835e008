package metrics

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
)

// The rules and the dashboard that are shipped, checked against the metrics that there are.
const (
	rulesFile     = "../../scripts/prometheus/ctsync.rules.yml"
	rulesTestFile = "../../scripts/prometheus/ctsync.rules.test.yml"
	dashboardFile = "../../scripts/grafana/ctsync.json"
)

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// promtool runs Debian's promtool, which must be there where nothing may be skipped.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	if _, err := exec.LookPath("promtool"); err != nil {
		if os.Getenv("CTSYNC_REQUIRE_NETNS") == "1" {
			t.Fatal("promtool is required (apt-get install prometheus)")
		}
		t.Skip("no promtool (apt-get install prometheus)")
	}
	if out, err := exec.Command("promtool", args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestRules(t *testing.T) {
	promtool(t, "check", "rules", rulesFile)
	promtool(t, "test", "rules", rulesTestFile)
}

// Each alert fires in a test, in which it also has the labels and the text that it shall have.
func TestEveryAlertIsTested(t *testing.T) {
	tests := read(t, rulesTestFile)
	alerts := regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(read(t, rulesFile), -1)
	for _, a := range alerts {
		if !regexp.MustCompile(`alertname: ` + a[1] + `\n\s+eval_time: \S+\n\s+exp_alerts:\n`).MatchString(tests) {
			t.Errorf("%s fires in no test", a[1])
		}
	}
	if len(alerts) < 10 {
		t.Errorf("%d alerts", len(alerts))
	}
}

// variables has values for those of the dashboard.
var variables = strings.NewReplacer("$__rate_interval", "5m", "$__range", "1h", "$job", "ctsync", "$instance", ".*")

// expressions returns those of the dashboard, with values for its variables.
func expressions(t *testing.T) []string {
	t.Helper()
	var exprs []string
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			if e, ok := v["expr"].(string); ok {
				exprs = append(exprs, variables.Replace(e))
			}
			for _, e := range v {
				walk(e)
			}
		}
	}
	var dashboard any
	if err := json.Unmarshal([]byte(read(t, dashboardFile)), &dashboard); err != nil {
		t.Fatal(err)
	}
	walk(dashboard)
	if len(exprs) < 20 {
		t.Fatalf("%d expressions in the dashboard", len(exprs))
	}
	return exprs
}

// Every expression of the dashboard is one that Prometheus takes.
func TestDashboardExpressions(t *testing.T) {
	rules := "groups:\n- name: dashboard\n  rules:\n"
	for i, e := range expressions(t) {
		if strings.Contains(e, "$") {
			t.Errorf("a variable that the dashboard does not have: %s", e)
		}
		rules += fmt.Sprintf("  - {record: 'e%d', expr: '%s'}\n", i, strings.ReplaceAll(e, "'", "''"))
	}
	path := filepath.Join(t.TempDir(), "dashboard.yml")
	if err := os.WriteFile(path, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "check", "rules", path)
}

// TestShippedNamesExist: a metric that is renamed takes its alerts and panels with it, and so does a label.
func TestShippedNamesExist(t *testing.T) {
	known := knownSeries(t)
	texts := append(expressions(t), read(t, rulesFile), read(t, rulesTestFile))
	name := regexp.MustCompile(`\b((?:ctsync|process|go)_[a-z0-9_]+)\b(?:\{([^}]*)\})?`)
	label := regexp.MustCompile(`([a-z_]+)\s*=~?\s*"([^"]*)"`)
	found := 0
	for _, text := range texts {
		for _, m := range name.FindAllStringSubmatch(text, -1) {
			labels, ok := known[m[1]]
			if !ok {
				t.Errorf("there is no metric %s", m[1])
				continue
			}
			found++
			for _, l := range label.FindAllStringSubmatch(m[2], -1) {
				values, ok := labels[l[1]]
				if !ok && l[1] != "job" && l[1] != "instance" {
					t.Errorf("%s has no label %s", m[1], l[1])
				}
				fixed := slices.Contains([]string{"role", "outcome", "cache", "table"}, l[1])
				if fixed && !slices.Contains(values, l[2]) {
					t.Errorf("%s: %s is never %q", m[1], l[1], l[2])
				}
			}
		}
	}
	if found < 100 {
		t.Errorf("only %d names looked at", found)
	}
}

// knownSeries returns the names of all series, with the values of their labels.
func knownSeries(t *testing.T) map[string]map[string][]string {
	t.Helper()
	all, err := NewRegistry(of(sample())).Gather()
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]map[string][]string{"ctsync_up": {}} // that one is ctsync-exporter's
	for _, f := range all {
		labels := map[string][]string{}
		for _, m := range f.Metric {
			for _, l := range m.Label {
				labels[l.GetName()] = append(labels[l.GetName()], l.GetValue())
			}
		}
		known[f.GetName()] = labels
		if f.GetType() == dto.MetricType_HISTOGRAM {
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				known[f.GetName()+suffix] = labels
			}
		}
	}
	return known
}
