package expr

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"ctsync/daemon/flow"
)

// valueKind says how the values of a key are written.
type valueKind uint8

const (
	kindAddress valueKind = iota
	kindProto
	kindName
	kindHelper
	kindLabel  // decimal
	kindNumber // decimal or 0x hexadecimal
	kindMark   // as kindNumber; printed in hexadecimal
	kindTime   // in seconds, or numbers with the units s, m, h, d, w
	kindSize   // a number that may end in k, M, G, T (powers of 1000) or Ki, Mi, Gi, Ti (of 1024)
)

// ordered reports whether the kind has < and >.
func (k valueKind) ordered() bool { return k >= kindNumber }

// unit is a word after a number, and the factor that it stands for.
type unit struct {
	name string
	of   uint64
}

// Units, the greatest first. Sizes are printed in the first four.
var (
	timeUnits = []unit{{"w", 7 * 86400}, {"d", 86400}, {"h", 3600}, {"m", 60}, {"s", 1}}
	sizeUnits = []unit{
		{"t", 1e12}, {"g", 1e9}, {"m", 1e6}, {"k", 1e3},
		{"ti", 1 << 40}, {"gi", 1 << 30}, {"mi", 1 << 20}, {"ki", 1 << 10},
	}
)

// parse reads a number.
func (k valueKind) parse(word string) (uint64, bool) {
	switch k {
	case kindTime:
		return parseTime(strings.ToLower(word))
	case kindSize:
		return parseUnit(strings.ToLower(word), sizeUnits)
	case kindLabel:
		v, err := strconv.ParseUint(word, 10, 64)
		return v, err == nil
	}
	base := 10
	if len(word) > 2 && (word[:2] == "0x" || word[:2] == "0X") {
		word, base = word[2:], 16
	}
	v, err := strconv.ParseUint(word, base, 64)
	return v, err == nil
}

// parseUnit reads a number with a unit or without.
func parseUnit(word string, units []unit) (uint64, bool) {
	digits := strings.TrimLeft(word, "0123456789")
	n, err := strconv.ParseUint(word[:len(word)-len(digits)], 10, 64)
	if err != nil {
		return 0, false
	}
	if digits == "" {
		return n, true
	}
	i := slices.IndexFunc(units, func(u unit) bool { return u.name == digits })
	if i < 0 || n > math.MaxUint64/units[i].of {
		return 0, false
	}
	return n * units[i].of, true
}

// parseTime reads times such as 90, 90s and 1h30m.
func parseTime(word string) (seconds uint64, ok bool) {
	for word != "" {
		end := strings.IndexAny(word, "wdhms") + 1
		if end == 0 {
			end = len(word)
		}
		n, ok := parseUnit(word[:end], timeUnits)
		if !ok || n > math.MaxUint64-seconds {
			return 0, false
		}
		seconds += n
		if word = word[end:]; word == "" {
			return seconds, true
		}
	}
	return 0, false
}

// print writes a number as parse reads it.
func (k valueKind) print(v uint64) string {
	switch k {
	case kindMark:
		return "0x" + strconv.FormatUint(v, 16)
	case kindTime:
		return printUnit(v, timeUnits)
	case kindSize:
		return strings.ToUpper(printUnit(v, sizeUnits[:4]))
	}
	return strconv.FormatUint(v, 10)
}

// printUnit writes v in the greatest unit that divides it.
func printUnit(v uint64, units []unit) string {
	for _, u := range units {
		if v > 0 && v%u.of == 0 {
			return strconv.FormatUint(v/u.of, 10) + u.name
		}
	}
	return strconv.FormatUint(v, 10)
}

// protoNames returns the names of the protocols that have one.
func protoNames() (names []string) {
	for _, p := range flow.Protos() {
		names = append(names, p.String())
	}
	return names
}
