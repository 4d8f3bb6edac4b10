// Package problems joins errors for people to read: one problem a line, and in one line
// for logs.
package problems

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
)

// Join makes one error of what is wrong, without the nils. It is nil if nothing is.
//
// The error's text has one problem a line. [errors.Is] and [errors.As] find each. As a
// [slog.LogValuer] it is in one line, as [OneLine] gives it.
func Join(errs ...error) error {
	errs = slices.DeleteFunc(slices.Clone(errs), func(err error) bool { return err == nil })
	switch len(errs) {
	case 0:
		return nil
	case 1:
		return errs[0]
	}
	return list(errs)
}

type list []error

// Error is one problem a line.
func (l list) Error() string { return errors.Join(l...).Error() }

// Unwrap gives each problem.
func (l list) Unwrap() []error { return l }

// LogValue is all of it in one line.
func (l list) LogValue() slog.Value { return slog.StringValue(OneLine(l)) }

// OneLine is an error's text in one line: what stood in lines is divided by "; ", and a
// package's name that begins several of them stands before the first only. It is empty
// for nil.
func OneLine(err error) string {
	if err == nil {
		return ""
	}
	var b strings.Builder
	var before string
	for line := range strings.Lines(err.Error()) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		prefix := prefixOf(line)
		if b.Len() > 0 {
			b.WriteString("; ")
			if prefix == before {
				line = line[len(prefix):]
			}
		}
		before = prefix
		b.WriteString(line)
	}
	return b.String()
}

// prefixOf is the package's name with which a line begins, such as "httpclient: ".
func prefixOf(line string) string {
	name, _, found := strings.Cut(line, ": ")
	if !found || strings.ContainsFunc(name, func(r rune) bool { return r < 'a' || r > 'z' }) {
		return ""
	}
	return name + ": "
}
