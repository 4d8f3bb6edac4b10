package httpclient_test

import (
	"context"
	"crypto"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portnokkel/portnokkel/httpclient"
)

// recursive is a log handler that sends its records with the source whose records they
// are, and waits for the answer.
type recursive struct {
	slog.Handler
	source *atomic.Pointer[httpclient.TokenSource]
	tokens *atomic.Int64
}

func (h recursive) Handle(ctx context.Context, r slog.Record) error {
	if source := h.source.Load(); source != nil {
		if _, err := source.Token(context.Background()); err == nil {
			h.tokens.Add(1)
		}
	}
	return h.Handler.Handle(ctx, r)
}

func (h recursive) Enabled(context.Context, slog.Level) bool { return true }

// A synchronous log handler may use the source that logs.
func TestLogHandlerThatUsesTheSource(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t, builtIn)
		defer srv.Close()
		var itself atomic.Pointer[httpclient.TokenSource]
		var tokens atomic.Int64
		var out logs
		source := sourceOf(t, srv, nil, httpclient.WithLogger(slog.New(recursive{slog.NewTextHandler(&out, nil), &itself, &tokens})))
		itself.Store(source)
		start := time.Now()
		if _, err := source.Token(t.Context()); err != nil || time.Since(start) > 0 {
			t.Errorf("got %v after %v, want a token at once", err, time.Since(start))
		}
		synctest.Wait()
		if got := strings.Count(out.String(), "Maskinporten token"); got != 2 || tokens.Load() != 2 {
			t.Errorf("got %d records and %d tokens, want 2 of each:\n%s", got, tokens.Load(), out.String())
		}
		source.Close()
	})
}

// blocked is a log handler that takes no record before it is released.
type blocked struct {
	slog.Handler
	release chan struct{}
}

func (h blocked) Handle(ctx context.Context, r slog.Record) error {
	<-h.release
	return h.Handler.Handle(ctx, r)
}

// A log handler that hangs holds no caller up. Records without room are counted.
func TestLogHandlerThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t, builtIn)
		defer srv.Close()
		var out logs
		handler := blocked{slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}), make(chan struct{})}
		source := sourceOf(t, srv, lasting(t), httpclient.WithLogger(slog.New(handler)))
		for i := range 200 {
			if _, err := source.Token(customer(t, 200_000_000+i)); err != nil {
				t.Fatal(err)
			}
		}
		start := time.Now()
		source.Close()
		if got := time.Since(start); got != 5*time.Second {
			t.Errorf("Close took %v, want 5s", got)
		}
		close(handler.release)
		synctest.Wait()
		// The handler hung with the first record, and 256 waited.
		if got := strings.Count(out.String(), "Maskinporten token"); got != 257 || !strings.Contains(out.String(), "records were dropped\" dropped=143") {
			t.Errorf("got %d records of 400, want 257 and a count of 143:\n%s", got, out.String()[max(0, len(out.String())-300):])
		}
	})
}

// Transports and bodies that ignore their context hold no caller past its own context,
// or 20 seconds.
func TestTransportsThatIgnoreTheirContext(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]func(release chan struct{}) (*http.Response, error){
		"a transport": func(release chan struct{}) (*http.Response, error) {
			<-release
			return nil, errors.New("released")
		},
		"a body": func(release chan struct{}) (*http.Response, error) {
			resp := answer(200, nil)
			resp.Body = io.NopCloser(hanging{release})
			return resp, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				source, _ := instant(t, httpclient.WithTokenTransport(roundTripper(func(*http.Request) (*http.Response, error) { return do(release) })))
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				start := time.Now()
				if _, err := source.Token(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
					t.Errorf("with a deadline: got %v after %v, want it after 1s", err, time.Since(start))
				}
				if _, err := source.Token(t.Context()); !errors.Is(err, httpclient.ErrTemporary) || time.Since(start) > 20*time.Second {
					t.Errorf("without one: got %v after %v, want it within 20s", err, time.Since(start))
				}
				start = time.Now()
				source.Close()
				if got := time.Since(start); got != 5*time.Second {
					t.Errorf("Close took %v, want 5s", got)
				}
				close(release)
				synctest.Wait()
			})
		})
	}
}

// slowSigner signs nothing before it is released.
type slowSigner struct {
	crypto.Signer
	release chan struct{}
}

func (s slowSigner) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	<-s.release
	return nil, errors.New("released")
}

// A signer that hangs is left behind as well.
func TestSignerThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		key, err := httpclient.NewKey(slowSigner{clientKey(t).Signer(), release}, "for-tests-only", "")
		if err != nil {
			t.Fatal(err)
		}
		srv := newPipe(t, builtIn)
		defer srv.Close()
		source := withoutKey(t, srv, keys(key))
		start := time.Now()
		if _, err := source.Token(t.Context()); err == nil || time.Since(start) > 20*time.Second {
			t.Errorf("got %v after %v, want an error within 20s", err, time.Since(start))
		}
		source.Close()
		close(release)
		synctest.Wait()
	})
}
