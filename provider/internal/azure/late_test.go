package azure

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// The last answer that a late load tells of is one that still puts a request off.
func TestLastAnswerOfALateLoad(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked, hangs := 0, false
		s := open(t, &credential{}, transporter(func(r *http.Request) (*http.Response, error) {
			if hangs {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}
			if asked++; asked == 1 {
				return answer(429, ""), nil
			}
			return answer(200, `{"value":"x"}`), nil
		}))
		if got, err := s.Get(t.Context(), "A", ""); err != nil || got.Value != "x" {
			t.Fatalf("got %q, %v, want x", got.Value, err)
		}
		hangs = true
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, &LateError{time.Second})
		defer cancel()
		_, err := s.Get(ctx, "B", "")
		if d := s.Diagnose(ctx, StepGet, err); d.Reason != "no result within the Timeout of 1s" || d.StatusCode != 0 {
			t.Errorf("got %+v, want nothing of the 429, which a good answer followed", d)
		}
	})
}

// TestWhoseTimeEnded tells apart the load's time, the caller's, and a transport's.
func TestWhoseTimeEnded(t *testing.T) {
	t.Parallel()
	s := open(t, &credential{}, transporter(nil))
	past := time.Now().Add(-time.Second)
	callers, cancel := context.WithDeadline(t.Context(), past)
	defer cancel()
	loads, cancelLoad := context.WithDeadlineCause(t.Context(), past, &LateError{30 * time.Second})
	defer cancelLoad()
	ofBoth, cancelBoth := context.WithTimeoutCause(callers, time.Hour, &LateError{30 * time.Second})
	defer cancelBoth()
	for _, c := range []struct {
		ctx  context.Context
		want string
	}{
		{callers, "the context's deadline passed"},
		{loads, "no result within the Timeout of 30s"},
		{ofBoth, "the context's deadline passed"},
		{t.Context(), "no answer in time"},
	} {
		d := s.Diagnose(c.ctx, StepList, context.DeadlineExceeded)
		if d.Reason != c.want || d.Step != StepList || !errors.Is(d.Cause, context.DeadlineExceeded) {
			t.Errorf("got %+v, want %s", d, c.want)
		}
	}
	s.gate.waiting.Add(1)
	for _, ended := range []error{context.DeadlineExceeded, context.Canceled} {
		if d := s.Diagnose(loads, StepList, ended); d.Step != StepAuthenticate {
			t.Errorf("%v while the credential was asked: got %+v, want the step %s", ended, d, StepAuthenticate)
		}
	}
	if d := s.Diagnose(loads, StepList, errNoList); d.Step != StepList {
		t.Errorf("another error while the credential was asked: got %+v, want the step %s", d, StepList)
	}
}

// A late load tells of the request that it waited for longest, and not of one that was
// answered or that failed before.
func TestPhaseOfALateLoad(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		s := open(t, &credential{}, transporter(func(r *http.Request) (*http.Response, error) {
			trace := httptrace.ContextClientTrace(r.Context())
			switch tries++; {
			case strings.Contains(r.URL.Path, "/Hangs/"):
				trace.WroteRequest(httptrace.WroteRequestInfo{})
				<-r.Context().Done()
				return nil, r.Context().Err()
			case strings.Contains(r.URL.Path, "/HangsToo/"):
				trace.TLSHandshakeStart()
				<-r.Context().Done()
				return nil, r.Context().Err()
			case tries == 1:
				trace.TLSHandshakeStart()
				return nil, syscall.ECONNRESET
			}
			trace.GotFirstResponseByte()
			return answer(200, `{"value":"x"}`), nil
		}))
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, &LateError{time.Second})
		defer cancel()
		if _, err := s.Get(ctx, "A", ""); err != nil {
			t.Fatal(err)
		}
		hung := make(chan error, 2)
		for _, name := range []string{"Hangs", "HangsToo"} {
			go func() {
				_, err := s.Get(ctx, name, "")
				hung <- err
			}()
			synctest.Wait()
		}
		if _, err := s.Get(ctx, "B", ""); err != nil {
			t.Fatal(err)
		}
		if d := s.Diagnose(ctx, StepGet, <-hung); d.Reason != "no result within the Timeout of 1s while waiting for the answer" {
			t.Errorf("got %s, want what hung", d.Reason)
		}
		<-hung
		if len(s.wire.open) != 2 {
			t.Errorf("got %d requests under way, want the two that hung", len(s.wire.open))
		}
	})
}

// A load that ends names what its last try met, unless that was its own end.
func TestLastTryOfALateLoad(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err        error
		hint, want string
	}{
		"refused":  {&net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}, "check VaultURL and the egress rules: nothing listens there", "no result within the Timeout of 1s; the last try: dial tcp: connection refused"},
		"too long": {errDial, "check the egress rules, the firewall and the proxy, or raise Timeout", "no result within the Timeout of 1s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := openAt(t, vaultURL, &credential{}, transporter(func(*http.Request) (*http.Response, error) { return nil, c.err }))
				s.wire.retries = false // as if it went on for ever
				ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, &LateError{time.Second})
				defer cancel()
				_, _ = s.Get(ctx, "A", "")
				<-ctx.Done()
				d := s.Diagnose(ctx, StepGet, ctx.Err())
				if d.Reason != c.want || d.Hint != c.hint || !errors.Is(d.Cause, context.DeadlineExceeded) {
					t.Errorf("got %s - %s, want %s", d.Hint, d.Reason, c.want)
				}
			})
		})
	}
}
