package logtest

import (
	"fmt"
	"reflect"
	"strings"
)

// Reachable is every text, byte and unsigned number that reflection finds in v,
// behind pointers and in unexported fields too. A printer or an encoder can show no
// more of v: what functions hold is out of its reach.
func Reachable(v any) string {
	var found strings.Builder
	reach(reflect.ValueOf(v), map[uintptr]bool{}, &found)
	return found.String()
}

func reach(v reflect.Value, seen map[uintptr]bool, found *strings.Builder) {
	switch v.Kind() {
	case reflect.Pointer:
		if !seen[v.Pointer()] {
			seen[v.Pointer()] = true
			reach(v.Elem(), seen, found)
		}
	case reflect.Interface:
		reach(v.Elem(), seen, found)
	case reflect.Struct:
		for i := range v.NumField() {
			reach(v.Field(i), seen, found)
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			reach(v.Index(i), seen, found)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			reach(key, seen, found)
			reach(v.MapIndex(key), seen, found)
		}
	case reflect.String, reflect.Uint, reflect.Uint8, reflect.Uint64:
		fmt.Fprintf(found, "%v ", v)
	}
}
