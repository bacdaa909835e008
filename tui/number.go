package tui

import (
	"fmt"
	"strconv"
	"time"
)

// units says how amounts are written.
type units uint8

// Units. One key goes through them.
const (
	unitBytes units = iota // 12.3k, 4.5 MB/s
	unitBits               // 12.3k, 36 Mbit/s
	unitExact              // 12 345, 4 512 345 B/s
	unitKinds
)

func (u units) String() string {
	return [...]string{"short, in bytes", "short, in bits", "exact, in bytes"}[u]
}

// count writes a number of things.
func (u units) count(n uint64) string {
	if u == unitExact || n < 10000 {
		return grouped(n)
	}
	return short(float64(n), "")
}

// perSecond writes a number of things per second.
func (u units) perSecond(rate float64) string {
	if u == unitExact || rate < 10000 {
		return grouped(uint64(rate+0.5)) + "/s"
	}
	return short(rate, "") + "/s"
}

// size writes a number of bytes.
func (u units) size(bytes uint64) string {
	switch u {
	case unitExact:
		return grouped(bytes) + " B"
	case unitBits:
		return short(float64(bytes)*8, " ") + "bit"
	}
	return short(float64(bytes), " ") + "B"
}

// bandwidth writes a number of bytes per second.
func (u units) bandwidth(bytes float64) string { return u.size(uint64(bytes+0.5)) + "/s" }

// short writes n with three digits and a decimal prefix, with gap between them.
func short(n float64, gap string) string {
	for _, p := range []struct {
		least float64
		name  string
	}{{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if n >= p.least*0.9995 { // 999.5 would be written as 1000
			return threeDigits(n/p.least) + gap + p.name
		}
	}
	return strconv.FormatFloat(n, 'f', 0, 64) + gap
}

func threeDigits(n float64) string {
	switch {
	case n < 9.995:
		return strconv.FormatFloat(n, 'f', 2, 64)
	case n < 99.95:
		return strconv.FormatFloat(n, 'f', 1, 64)
	}
	return strconv.FormatFloat(n, 'f', 0, 64)
}

// grouped writes all digits of n, in groups of three.
func grouped(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + " " + s[i:]
	}
	return s
}

// span writes a duration in seconds, or in its two largest units: "42s", "3m05s", "5h12m", "4d23h".
func span(d time.Duration) string {
	s := int64(max(d, 0) / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%dh%02dm", s/3600, s/60%60)
	}
	return fmt.Sprintf("%dd%02dh", s/86400, s/3600%24)
}

// took writes how long something took, in about three digits.
func took(d time.Duration) string {
	if d < time.Second {
		return strconv.FormatFloat(float64(d.Microseconds())/1000, 'g', 3, 64) + "ms"
	}
	return d.Round(10 * time.Millisecond).String()
}
