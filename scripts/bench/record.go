package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"ctsync/scripts/lab"
)

// record is everything that a run measured, and the content of the JSON file.
type record struct {
	Began   time.Time `json:"began"`
	Took    string    `json:"took"`
	Quick   bool      `json:"quick"`
	Machine machine   `json:"machine"`
	Lines   []result  `json:"lines"`

	lines   []line
	samples map[string]map[string][]float64 // by line and daemon
}

// machine describes the machine of the run.
type machine struct {
	Kernel     string `json:"kernel"`
	CPUs       int    `json:"cpus"`
	Memory     string `json:"memory"`
	Go         string `json:"go"`
	Ctsync     string `json:"ctsyncd"`
	Conntrackd string `json:"conntrackd"`
	Buckets    string `json:"conntrack_buckets"`
	Load       string `json:"load_average_at_start"`
}

// result is one line with what was measured.
type result struct {
	ID      string               `json:"id"`
	Title   string               `json:"title"`
	Unit    string               `json:"unit"`
	Samples map[string][]float64 `json:"samples"` // by daemon, in the order of the rounds
	Ratio   *float64             `json:"ratio,omitempty"`
	Wanted  string               `json:"wanted,omitempty"`
	Verdict string               `json:"verdict"`
}

func newRecord(o options) *record {
	r := &record{Began: time.Now().UTC(), Quick: o.quick, Machine: thisMachine(), lines: lines(),
		samples: make(map[string]map[string][]float64)}
	for _, l := range r.lines {
		r.samples[l.id] = make(map[string][]float64)
	}
	return r
}

func thisMachine() machine {
	first := func(name string, args ...string) string {
		out, err := exec.Command(name, args...).Output()
		if err != nil {
			return err.Error()
		}
		text, _, _ := strings.Cut(string(out), "\n")
		return text
	}
	load, _ := os.ReadFile("/proc/loadavg")
	memory := fieldSum("/proc/meminfo", "MemTotal:")
	return machine{
		Kernel: first("uname", "-sr"), CPUs: runtime.NumCPU(), Memory: fmt.Sprintf("%.0f GiB", memory/(1<<20)),
		Go: runtime.Version(), Ctsync: first(filepath.Join("bin", "ctsyncd"), "--version"),
		Conntrackd: first("conntrackd", "-v"), Buckets: raised.buckets, Load: strings.TrimSpace(string(load)),
	}
}

// add adds a sample to a line, which must be in the table.
func (r *record) add(kind, id string, value float64) {
	by, ok := r.samples[id]
	if !ok {
		panic("no line " + id)
	}
	by[kind] = append(by[kind], value)
}

func (r *record) save(path string) error {
	r.Lines = nil
	for _, l := range r.lines {
		v := r.judge(l)
		res := result{
			ID: l.id, Title: l.title, Unit: l.unit, Samples: r.samples[l.id], Wanted: l.want.String(), Verdict: v.word,
		}
		if !math.IsNaN(v.ratio) {
			res.Ratio = &v.ratio
		}
		r.Lines = append(r.Lines, res)
	}
	data, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}

// median returns the middle of the samples, or the lower of the two if their number is even, or NaN if there are none.
func median(samples []float64) float64 {
	if len(samples) == 0 {
		return math.NaN()
	}
	return slices.Sorted(slices.Values(samples))[(len(samples)-1)/2]
}

// verdict is the result of a line.
type verdict struct {
	ours, theirs float64 // medians, NaN if nothing was measured
	ratio        float64 // ours to theirs, or NaN
	word         string  // "" (no target), reached, MISSED, or not run
}

func (r *record) judge(l line) verdict {
	ours, theirs := r.samples[l.id][lab.Ctsync], r.samples[l.id][lab.Conntrackd]
	v := verdict{ours: median(ours), theirs: median(theirs), ratio: math.NaN()}
	if v.theirs != 0 {
		v.ratio = v.ours / v.theirs // NaN if either is
	}
	switch {
	case len(ours) == 0:
		v.word = "not run"
	case r.differs(l.group()):
		v.word = "MISSED: the tables differ"
	case l.want == want{}:
	case l.want.ok(v, ours):
		v.word = "reached"
	default:
		v.word = "MISSED"
	}
	return v
}

// differs reports whether ctsyncd lost or changed a flow in any trial of a group of lines. Then its figures are
// worthless.
func (r *record) differs(group string) bool {
	samples := r.samples[group+"/"+missing][lab.Ctsync]
	return slices.ContainsFunc(samples, func(v float64) bool { return v != 0 })
}
