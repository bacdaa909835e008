package transport

import (
	"reflect"
	"testing"
)

// TestStatsAdd fills every counter and expects each of them in the sum.
func TestStatsAdd(t *testing.T) {
	fill := func(first uint64) (s Stats) {
		v := reflect.ValueOf(&s).Elem()
		for i := range v.NumField() {
			if f := v.Field(i); f.Kind() == reflect.Uint64 {
				f.SetUint(first + uint64(i))
			}
		}
		return s
	}
	before, later := fill(100), fill(1000)
	before.RecvBuffer, later.SendBuffer = Buffer{1, 1}, Buffer{2, 2}
	sum := reflect.ValueOf(before.Add(later))
	for i := range sum.NumField() {
		f, name := sum.Field(i), sum.Type().Field(i).Name
		if f.Kind() == reflect.Uint64 {
			if want := 1100 + 2*uint64(i); f.Uint() != want {
				t.Errorf("%s: %d, want %d", name, f.Uint(), want)
			}
		} else if want := reflect.ValueOf(later).Field(i); !f.Equal(want) {
			t.Errorf("%s: %v, want that of the later link, %v", name, f, want)
		}
	}
}
