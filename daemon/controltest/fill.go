// Package controltest fills the types of the control API with values that identify their fields, for tests that compare
// where they are shown.
package controltest

import (
	"fmt"
	"reflect"
	"time"

	"ctsync/daemon/control"
)

// Leaf is a value of a snapshot: a number, a text, a time or a duration.
type Leaf struct {
	Path  string // such as "Statistics.Internal.Active"
	Value any
}

// Snapshot returns a snapshot in which every field has a value of its own, and a list of all these values but the
// roles, which are words with a meaning.
func Snapshot() (s control.Snapshot, leaves []Leaf) {
	var f filler
	f.fill(reflect.ValueOf(&s.Status).Elem(), "Status")
	f.fill(reflect.ValueOf(&s.Statistics).Elem(), "Statistics")
	s.Status.Role, s.Statistics.Links[0].Role = control.RoleMaster, control.LinkActive
	return s, f.leaves
}

// filler gives every field a value of its own and notes it.
type filler struct {
	n      int
	leaves []Leaf
}

// Booleans and the lengths of lists have too few values to identify a field: golden files hold how they are shown.
func (f *filler) fill(v reflect.Value, path string) {
	f.n++
	n := 100_000 + f.n
	note := func(path string, value any) { f.leaves = append(f.leaves, Leaf{path, value}) }
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Unix(int64(n), 0).UTC()))
		note(path, v.Interface())
		return
	case control.Duration:
		v.SetInt(int64(n) * int64(time.Second))
		note(path, v.Interface())
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			f.fill(v.Field(i), path+"."+v.Type().Field(i).Name)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem(), path)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		f.fill(v.Index(0), path+"[0]")
	case reflect.Map:
		key := fmt.Sprintf("key%d", n)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf(key), reflect.ValueOf(uint64(n)))
		note(path+".key", key)
		note(path+".value", n)
	case reflect.String:
		v.SetString(fmt.Sprintf("text%d", n))
		if path != "Status.Role" && path != "Statistics.Links[0].Role" {
			note(path, v.String())
		}
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(n))
		note(path, v.Int())
	case reflect.Uint64, reflect.Uint32:
		v.SetUint(uint64(n))
		note(path, v.Uint())
	default:
		panic("a type that this test does not know: " + v.Type().String())
	}
}
