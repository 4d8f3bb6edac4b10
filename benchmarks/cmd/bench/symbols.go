package main

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// codeOrConstant are the kinds of symbols that go tool nm calls so.
var codeOrConstant = map[string]bool{"T": true, "t": true, "R": true, "r": true}

// partsOf sums up code and constants by the module that they are of, largest first.
// What belongs to no package, such as the runtime's tables of functions and types,
// is left out, and so are variables: most of their memory is not in the file.
func partsOf(symbols string, owner map[string]string) []part {
	sums := map[string]int64{}
	for line := range strings.Lines(symbols) {
		fields := strings.Fields(line)
		if len(fields) < 4 {
			continue // an undefined symbol has no address
		}
		bytes, err := strconv.ParseInt(fields[1], 10, 64)
		if err != nil || !codeOrConstant[fields[2]] {
			continue
		}
		if module := owner[packageOf(fields[3])]; module != "" {
			sums[module] += bytes
		}
	}
	parts := make([]part, 0, len(sums))
	for name, bytes := range sums {
		parts = append(parts, part{name, bytes})
	}
	slices.SortFunc(parts, func(a, b part) int {
		return cmp.Or(cmp.Compare(b.bytes, a.bytes), strings.Compare(a.name, b.name))
	})
	return parts
}

// packageOf is the import path in a symbol's name, such as
// "example.com/a%2eb.(*T).Method".
func packageOf(symbol string) string {
	symbol = strings.TrimPrefix(symbol, "type:.eq.")
	symbol, _, _ = strings.Cut(symbol, "[") // type parameters hold paths too
	symbol, _, _ = strings.Cut(symbol, "(")
	slash := strings.LastIndex(symbol, "/") + 1
	name, _, _ := strings.Cut(symbol[slash:], ".")
	return symbol[:slash] + strings.ReplaceAll(name, "%2e", ".")
}
