package fxmodule

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"go.uber.org/dig"
	"go.uber.org/fx"
	"go.uber.org/fx/fxevent"

	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/internal/problems"
	"github.com/portnokkel/portnokkel/provider"
)

// Quiet makes fx log to the graph's [*slog.Logger], or else to [slog.Default], and
// say no more than is needed. What fx does is logged at level Debug. Why a start or a
// stop failed is logged once, in one line, at level Error, whether the failure is a
// module's of this package or anything else's.
//
// Without it fx tells each step on standard error, and each failure several times. It
// takes the place of [fx.WithLogger].
func Quiet() fx.Option { return fx.WithLogger(newQuiet) }

type quiet struct {
	roster roster
	events fxevent.SlogLogger
}

func newQuiet(r roster) fxevent.Logger {
	q := &quiet{roster: r, events: fxevent.SlogLogger{Logger: usable(r.Logger)}}
	q.events.UseContext(context.Background())
	q.events.UseLogLevel(slog.LevelDebug)
	q.events.UseErrorLevel(slog.LevelDebug)
	return q
}

// LogEvent implements [fxevent.Logger].
func (q *quiet) LogEvent(event fxevent.Event) {
	switch e := event.(type) {
	case *fxevent.Started:
		if e.Err != nil && !q.isRecorded(e.Err) {
			q.tell(e.Err)
		}
	case *fxevent.Stopped:
		if e.Err != nil {
			q.tell(e.Err)
		}
	}
	q.events.LogEvent(event)
}

// isRecorded reports whether a module has logged why the application did not start.
func (q *quiet) isRecorded(err error) bool {
	var started *startError
	if errors.As(err, &started) || q.roster.problem() != nil {
		return true
	}
	var fxs dig.Error
	return len(q.roster.Members) > 0 && errors.As(err, &fxs) && q.roster.missing(err) != nil
}

// tell logs a failure that no module has logged, without fx's wrapping.
func (q *quiet) tell(err error) {
	cause := dig.RootCause(err)
	var fxs dig.Error
	if errors.As(cause, &fxs) {
		cause = err // of fx itself
	}
	text := problems.OneLine(cause)
	// What is wrong with a setting comes before what was done when it was found out.
	if inner := explained(cause); inner != "" {
		if before, ok := strings.CutSuffix(text, inner); ok && before != "" {
			text = inner + " - " + strings.TrimSuffix(before, ": ")
		}
	}
	usable(q.roster.Logger).LogAttrs(context.Background(), slog.LevelError, text)
}

// explained is the text of the error of this module's packages that err wraps; "" if it
// wraps none.
func explained(err error) string {
	var token *httpclient.TokenError
	var vault *provider.Error
	switch {
	case errors.As(err, &token):
		return problems.OneLine(token)
	case errors.As(err, &vault):
		return problems.OneLine(vault)
	}
	return ""
}
