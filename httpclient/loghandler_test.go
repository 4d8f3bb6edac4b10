package httpclient_test

import (
	"context"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/httpclient"
)

// curious is a log handler that asks the source for another token to decide on a
// warning.
type curious struct {
	slog.Handler
	source *atomic.Pointer[httpclient.TokenSource]
	other  context.Context
	got    *atomic.Int64
}

func (h curious) Enabled(_ context.Context, level slog.Level) bool {
	if source := h.source.Load(); source != nil && level == slog.LevelWarn {
		if _, err := source.Token(h.other); err == nil {
			h.got.Add(1)
		}
	}
	return true
}

// A log handler may use the source before it takes a record, too.
func TestLogHandlerThatUsesTheSourceToDecide(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t, builtIn)
		defer srv.Close()
		var itself atomic.Pointer[httpclient.TokenSource]
		var tokens atomic.Int64
		var out logs
		handler := curious{slog.NewTextHandler(&out, nil), &itself, customer(t, 123456789), &tokens}
		source := sourceOf(t, srv, nil, httpclient.WithLogger(slog.New(handler)))
		defer source.Close()
		if _, err := source.Token(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := source.Token(handler.other); err != nil {
			t.Fatal(err)
		}
		itself.Store(source)
		srv.Faults.Add(faulttest.Fault{Match: toToken, Status: 400, Body: `{"error":"invalid_scope"}`})
		pass(112 * time.Second) // the settings' token is due
		if _, err := source.Token(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := strings.Count(out.String(), "could not refresh the token"); got != 1 || tokens.Load() != 1 {
			t.Errorf("got %d warnings and %d tokens, want 1 of each:\n%s", got, tokens.Load(), out.String())
		}
	})
}

// broken is a log handler that fails with every record of a new Maskinporten token.
type broken struct {
	slog.Handler
	fail func()
}

func (h broken) Handle(ctx context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "got a Maskinporten token") {
		h.fail()
	}
	return h.Handler.Handle(ctx, r)
}

// A log handler that panics, or ends its goroutine, ends neither the program nor the
// log. It is told so, without what it panicked with.
func TestLogHandlerThatFails(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(){
		"panicked":            func() { panic("CANARY") },
		"ended its goroutine": runtime.Goexit,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := newPipe(t, builtIn)
				defer srv.Close()
				var out logs
				handler := broken{slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}), fail}
				source := sourceOf(t, srv, nil, httpclient.WithLogger(slog.New(handler)))
				for i := range 2 {
					if _, err := source.Token(customer(t, 123456789+i)); err != nil {
						t.Fatal(err)
					}
				}
				start := time.Now()
				source.Close()
				if got := time.Since(start); got != 0 {
					t.Errorf("Close took %v, want no time", got)
				}
				lost := "the log handler " + name + ", and a record is lost"
				if got := strings.Count(out.String(), lost); got != 2 || !strings.Contains(out.String(), "loghandler_test.go") {
					t.Errorf("got %d reports, want 2 with a stack:\n%s", got, out.String())
				}
				if got := strings.Count(out.String(), "asking for a Maskinporten token"); got != 2 {
					t.Errorf("got %d other records, want 2:\n%s", got, out.String())
				}
				if strings.Contains(out.String(), "CANARY") {
					t.Errorf("got the panic's value in the log, want only the stack:\n%s", out.String())
				}
			})
		})
	}
}

// A log handler that cannot even take the report is not given another.
func TestLogHandlerThatAlwaysPanics(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t, builtIn)
		defer srv.Close()
		var calls atomic.Int64
		source := sourceOf(t, srv, lasting(t), httpclient.WithLogger(slog.New(alwaysBroken{slog.DiscardHandler, &calls})))
		if _, err := source.Token(t.Context()); err != nil {
			t.Fatal(err)
		}
		source.Close()
		if got := calls.Load(); got != 4 {
			t.Errorf("got %d calls, want 4: 2 records and a report of each", got)
		}
	})
}

type alwaysBroken struct {
	slog.Handler
	calls *atomic.Int64
}

func (alwaysBroken) Enabled(context.Context, slog.Level) bool { return true }

func (h alwaysBroken) Handle(context.Context, slog.Record) error {
	if h.calls.Add(1) < 100 { // else a test that fails does not end
		panic("CANARY")
	}
	return nil
}
