package fxmodule

import (
	"context"
	"log/slog"
	"reflect"

	"github.com/portnokkel/portnokkel/internal/problems"
)

// startError is why an application cannot start. What is wrong comes first, and which
// part of the application it concerns after it, in a line of its own. A record of it
// was logged.
type startError struct {
	cause         error
	circumstances string // "" if the cause says it all
}

func (e *startError) Error() string {
	if e.circumstances == "" {
		return e.cause.Error()
	}
	return e.cause.Error() + "\n" + e.circumstances
}

func (e *startError) Unwrap() error { return e.cause }

// LogValue is all of it in one line.
func (e *startError) LogValue() slog.Value { return slog.StringValue(problems.OneLine(e)) }

// record logs why the application cannot start, in one line.
func record(logger *slog.Logger, err error) {
	usable(logger).LogAttrs(context.Background(), slog.LevelError, problems.OneLine(err))
}

// usable is logger, or [slog.Default] if it is nil or zero: a zero Logger panics.
func usable(logger *slog.Logger) *slog.Logger {
	if logger == nil || isNil(logger.Handler()) {
		return slog.Default()
	}
	return logger
}

// isNil reports whether v is nil, or a nil pointer or function of some type.
func isNil(v any) bool {
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Invalid:
		return true
	case reflect.Pointer, reflect.Func:
		return r.IsNil()
	}
	return false
}
