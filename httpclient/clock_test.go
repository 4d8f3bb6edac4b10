package httpclient_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

// A clock that is wrong costs one repeated request and one warning.
func TestClockSkew(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name   string
		offset time.Duration
		warns  string
	}{
		{"30 s ahead", 30 * time.Second, "this machine's clock is 30s ahead of Maskinporten's"},
		{"10 min behind", -10 * time.Minute, "this machine's clock is 10m0s behind Maskinporten's"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			var passed atomic.Int64
			server := func() time.Time { return start.Truncate(time.Second).Add(time.Duration(passed.Load())) }
			srv := newDouble(t, maskinportentest.WithClock(server))
			var out logs
			source := sourceOf(t, srv, nil, httpclient.WithLogger(out.logger(0)), httpclient.WithClocks(
				func() time.Time { return server().Add(c.offset) },
				func() time.Duration { return time.Duration(passed.Load()) },
			))
			token, err := source.Token(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if n := srv.Stats().TokenRequests; n != 2 {
				t.Errorf("got %d token requests, want 2", n)
			}
			passed.Add(int64(5 * time.Minute))
			later, err := source.Token(t.Context())
			if err != nil || later == token {
				t.Fatalf("got %v and error %v, want another token", later, err)
			}
			if n := srv.Stats().TokenRequests; n != 3 {
				t.Errorf("got %d token requests, want 3", n)
			}
			if strings.Count(out.String(), c.warns) != 1 || strings.Count(out.String(), "WARN") != 1 {
				t.Errorf("got another log, want one warning %q:\n%s", c.warns, out.String())
			}
		})
	}
}

// A clock that is right cannot be the cause: the refusal stands.
func TestClockIsNotToBlame(t *testing.T) {
	t.Parallel()
	srv := newDouble(t)
	srv.Faults.Add(faulttest.Fault{Match: toToken, Times: -1, Status: 400, Body: `{"error":"invalid_grant","error_description":"JWT is expired"}`})
	_, err := sourceOf(t, srv, nil).Token(t.Context())
	if !errors.Is(err, httpclient.ErrClockSkew) || srv.Stats().TokenRequests != 1 {
		t.Errorf("got %v after %d requests, want ErrClockSkew after 1", err, srv.Stats().TokenRequests)
	}
}

// A machine that was suspended, or whose clock was set, does not use up a token.
func TestEitherClockEndsAToken(t *testing.T) {
	t.Parallel()
	for name, advance := range map[string]func(wall, monotonic *atomic.Int64){
		"suspended: the monotonic clock stood still": func(wall, _ *atomic.Int64) { wall.Add(int64(50 * time.Minute)) },
		"set back: the wall clock says it is early":  func(wall, monotonic *atomic.Int64) { monotonic.Add(int64(time.Hour)); wall.Add(-int64(time.Hour)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := newDouble(t)
			var wall, monotonic atomic.Int64
			source := sourceOf(t, srv, nil, httpclient.WithClocks(
				func() time.Time { return time.Now().Add(time.Duration(wall.Load())) },
				func() time.Duration { return time.Duration(monotonic.Load()) },
			))
			first, err := source.Token(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			advance(&wall, &monotonic)
			if second, err := source.Token(t.Context()); err != nil || second == first {
				t.Errorf("got %v and error %v, want another token", second, err)
			}
		})
	}
}
