package httpclient_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portnokkel/portnokkel/httpclient"
)

// badHandler is a log handler that does what it likes. It wants no steps.
type badHandler struct{ handle func(slog.Record) error }

func (h *badHandler) Enabled(_ context.Context, level slog.Level) bool { return level > slog.LevelInfo }

func (h *badHandler) Handle(_ context.Context, r slog.Record) error { return h.handle(r) }

func (h *badHandler) WithAttrs([]slog.Attr) slog.Handler { return h }

func (h *badHandler) WithGroup(string) slog.Handler { return h }

// A record that the handler does not take is in the ordinary log, whole, with the
// reason. The next ones come as before.
func TestAuditHandlerThatFails(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fail func() error
		want string
	}{
		"panics":              {func() error { panic("CANARY") }, `msg="httpclient: the audit log's handler panicked, and this record may not be in it" stack=`},
		"ends its goroutine":  {func() error { runtime.Goexit(); return nil }, `msg="httpclient: the audit log's handler ended its goroutine, and this record may not be in it" stack=`},
		"returns an error":    {func() error { return errors.New("disk\nfull") }, `msg="httpclient: the audit log's handler failed, and this record may not be in it" error="disk full" `},
		"returns a long text": {func() error { return errors.New(strings.Repeat("x", 500)) }, strings.Repeat("x", 119) + "…"},
		"its error panics":    {func() error { return unreadable{} }, `msg="httpclient: the audit log's handler panicked, and this record may not be in it" stack=`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := newPipe(t, builtIn)
				defer srv.Close()
				var taken int
				var ordinary logs
				source := sourceOf(t, srv, nil, httpclient.WithLogger(ordinary.logger(slog.LevelWarn)), httpclient.WithAuditLog(slog.New(&badHandler{func(slog.Record) error {
					if taken++; taken == 2 {
						return tc.fail()
					}
					return nil
				}})))
				for i := range 3 {
					if _, err := source.Token(customer(t, 123456780+i)); err != nil {
						t.Fatal(err)
					}
				}
				start := time.Now()
				source.Close()
				if took := time.Since(start); took != 0 || taken != 3 {
					t.Errorf("got Close after %v and %d records, want at once and 3", took, taken)
				}
				lines := ordinary.Lines()
				if len(lines) != 1 || !strings.Contains(lines[0], tc.want) || !strings.Contains(lines[0], "level=ERROR") ||
					!strings.Contains(lines[0], "record.consumer_org=123456781") || !strings.Contains(lines[0], "record.outcome=received") ||
					!strings.Contains(lines[0], " at=2000-01-01T") || strings.Contains(lines[0], "CANARY") {
					t.Errorf("got the ordinary log\n%s\nwant one line with %s and the record of the second customer", ordinary.String(), tc.want)
				}
			})
		})
	}
}

// unreadable is an error that cannot be read.
type unreadable struct{}

func (unreadable) Error() string { panic("CANARY") }

// Nobody waits for a handler that hangs: no caller and no fetch. What it has not taken
// at Close is in the ordinary log.
func TestAuditHandlerThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t, builtIn)
		defer srv.Close()
		release := make(chan struct{})
		var ordinary logs
		source := sourceOf(t, srv, nil, httpclient.WithLogger(ordinary.logger(slog.LevelWarn)),
			httpclient.WithAuditLog(slog.New(&badHandler{func(slog.Record) error { <-release; return nil }})))
		start := time.Now()
		for i := range 10 {
			if _, err := source.Token(customer(t, 123456780+i)); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took != 0 || ordinary.String() != "" {
			t.Errorf("got 10 tokens after %v and the ordinary log\n%s\nwant no time and nothing logged", took, ordinary.String())
		}
		pass(time.Minute)
		for i := range 2 { // reported once
			if _, err := source.Token(customer(t, 123456790+i)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		const hangs = "the audit log's handler hangs: its records wait"
		if got := strings.Count(ordinary.String(), hangs); got != 1 {
			t.Errorf("got %d reports that it hangs, want 1:\n%s", got, ordinary.String())
		}
		pass(time.Hour)
		if _, err := source.Token(customer(t, 123456792)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := strings.Count(ordinary.String(), hangs); got != 2 {
			t.Errorf("got %d reports an hour later, want 2:\n%s", got, ordinary.String())
		}
		start = time.Now()
		source.Close()
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("got Close after %v, want 5s", took)
		}
		for i := range 13 {
			want := fmt.Sprintf("record.consumer_org=%d", 123456780+i)
			if got := strings.Count(ordinary.String(), want); got != 1 {
				t.Errorf("got %d lines with %s, want 1", got, want)
			}
		}
		close(release)
		synctest.Wait()
	})
}

// Ten thousand records wait for a slow handler. The others are in the ordinary log.
func TestAuditHandlerThatIsSlow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var taken, saved atomic.Int64
		source, asked := instant(t, httpclient.WithCacheSize(1),
			httpclient.WithLogger(slog.New(&badHandler{func(r slog.Record) error {
				if strings.Contains(r.Message, "the audit log's handler is too slow") {
					saved.Add(1)
				}
				return nil
			}})),
			httpclient.WithAuditLog(slog.New(&badHandler{func(slog.Record) error {
				<-release
				taken.Add(1)
				return nil
			}})))
		const all = 10_000 + 1 + 20
		for i := range all {
			if _, err := source.Token(customer(t, i)); err != nil {
				t.Fatal(err)
			}
		}
		if asked.Load() != all {
			t.Fatalf("got %d token requests, want %d", asked.Load(), all)
		}
		synctest.Wait()
		if got := saved.Load(); got != 20 {
			t.Errorf("got %d records in the ordinary log, want 20", got)
		}
		close(release)
		source.Close()
		if got := taken.Load(); got != all-20 {
			t.Errorf("got %d records taken, want %d", got, all-20)
		}
	})
}

// The handler may use the source.
func TestAuditHandlerThatUsesTheSource(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t, builtIn)
		defer srv.Close()
		var source *httpclient.TokenSource
		var records, tokens int
		source = sourceOf(t, srv, nil, httpclient.WithAuditLog(slog.New(&badHandler{func(slog.Record) error {
			if records++; records == 1 {
				if token, err := source.Token(customer(t, 123456789)); err == nil && token != nil {
					tokens++
				}
				_ = source.Status()
			}
			return nil
		}})))
		if _, err := source.Token(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		source.Close()
		if records != 2 || tokens != 1 {
			t.Errorf("got %d records and %d tokens, want 2 and 1", records, tokens)
		}
	})
}

// lateHandler takes a record when it is released, and tells what its context says.
type lateHandler struct {
	slog.Handler
	release chan struct{}
	err     error
}

func (h *lateHandler) Handle(ctx context.Context, _ slog.Record) error {
	<-h.release
	h.err = ctx.Err()
	return nil
}

// A record's context does not end with the fetch.
func TestAuditHandlerThatIsLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t, builtIn)
		defer srv.Close()
		handler := &lateHandler{slog.DiscardHandler, make(chan struct{}), errors.New("no record")}
		source := sourceOf(t, srv, nil, httpclient.WithAuditLog(slog.New(handler)))
		if _, err := source.Token(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		close(handler.release)
		source.Close()
		if handler.err != nil {
			t.Errorf("got the context's error %v, want none", handler.err)
		}
	})
}
