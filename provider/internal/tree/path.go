package tree

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
)

const (
	// Delimiter joins the parts of a path, as .NET does. Keys in appsettings files
	// hold dots ("Microsoft.AspNetCore"), so a dot would not do.
	Delimiter = ":"
	// MaxDepth is how many parts a path has at most, and how deep a settings file
	// nests. .NET reads no deeper files.
	MaxDepth = 64
)

// Join is the path of a key in the section or array at path.
func Join(path, key string) string {
	if path == "" {
		return key
	}
	return path + Delimiter + key
}

// Split is the parts of a path. It is false when a part is empty, or when there
// are more than MaxDepth of them.
func Split(path string) (parts []string, ok bool) {
	parts = strings.Split(path, Delimiter)
	return parts, len(parts) <= MaxDepth && !slices.Contains(parts, "")
}

// Fold is the same for two strings exactly when [strings.EqualFold] says that
// they are equal.
func Fold(s string) string {
	return strings.Map(func(r rune) rune {
		lowest := r
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			lowest = min(lowest, f)
		}
		return lowest
	}, s)
}

// index reads an index in the one spelling that .NET writes: decimal, without a
// sign or leading zeros.
func index(key string) (int, bool) {
	if key == "" || key[0] < '0' || key[0] > '9' {
		return 0, false
	}
	i, err := strconv.Atoi(key)
	return i, err == nil && strconv.Itoa(i) == key
}
