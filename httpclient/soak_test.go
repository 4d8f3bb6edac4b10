package httpclient_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

// Several clients, hundreds of goroutines, tokens of 2 s, faults in a fifth of all token
// requests, cancellations, revocations and rotations. TestSoak runs for the time that
// the variable SOAK says ("60s"), and not at all without it. It is meant for the race
// detector: see the Makefile.
func TestSoak(t *testing.T) {
	length, err := time.ParseDuration(os.Getenv("SOAK"))
	if err != nil {
		t.Skip("SOAK is not set to a duration")
	}
	srv := newDouble(t, maskinportentest.WithTokenLifetime(2*time.Second), maskinportentest.WithAltinnTokenLifetime(3*time.Second),
		maskinportentest.WithClient(maskinportentest.Client{OrgNo: "974760673", Scopes: []string{scope}}))
	other, err := maskinportentest.ParseKey(encoded(keyFile(t, "other.jwk.json")))
	if err != nil {
		t.Fatal(err)
	}
	srv.AddKey(srv.ClientID(), other)
	addFaults(srv)

	s := &soak{t: t, srv: srv, watch: newWatch()}
	s.sources = []*httpclient.TokenSource{
		s.source(nil),
		s.source(map[string]any{"ExhangeToAltinnToken": true}),
		s.rotating(),
	}
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	var workers sync.WaitGroup
	for i := range 300 {
		workers.Go(func() { s.work(ctx, i) })
	}
	workers.Go(func() { s.revoke(ctx) })
	var middle uint64
	select {
	case <-time.After(length / 2):
		middle = heapInUse()
	case <-ctx.Done():
	}
	goroutines := runtime.NumGoroutine()
	workers.Wait()
	for _, source := range s.sources {
		source.Close()
	}
	end := heapInUse()

	stats := srv.Stats()
	t.Logf("%d requests in %v: %d answered, %d failed in a bad minute, %d cancelled, %d answered 401; %d token requests, %d exchanges, %d faults survived; longest wait %v; %d goroutines at work; heap %d KiB at half, %d KiB at the end",
		s.requests.Load(), length, s.answered.Load(), s.failed.Load(), s.cancelled.Load(), s.rejected.Load(),
		stats.TokenRequests, stats.Exchanges, srv.Faults.Hits(), time.Duration(s.longest.Load()), goroutines, middle>>10, end>>10)
	if s.answered.Load() == 0 || srv.Faults.Hits() == 0 || stats.TokenRequests == 0 {
		t.Error("got a soak in which nothing happened, want answers, faults and token requests")
	}
	s.watch.check(t, s.rejected.Load())
	if end > 2*middle+16<<20 {
		t.Errorf("got a heap that grew from %d to %d bytes, want about the same", middle, end)
	}
	if wait := time.Duration(s.longest.Load()); wait > 22*time.Second {
		t.Errorf("got a request that waited %v, want at most 22s", wait)
	}
	reasons := map[string]int{}
	for _, refusal := range srv.Refusals() {
		reasons[refusal]++
	}
	t.Logf("why requests were refused, of the last thousand: %v", reasons)
	for refusal := range reasons {
		if !strings.HasPrefix(refusal, "api: 401") && !strings.HasPrefix(refusal, "exchange: 401") && !strings.HasSuffix(refusal, "Unknown key identifier (kid) for client") {
			t.Errorf("got the refusal %s, want only revoked tokens and new keys refused", refusal)
		}
	}
}

// addFaults has a fifth of all requests for tokens go wrong, each in some way.
func addFaults(srv *maskinportentest.Server) {
	kinds := []faulttest.Fault{
		{Status: 500, Body: "oh"},
		{Status: 503, Header: http.Header{"Retry-After": {"1"}}},
		{Status: 429},
		{Drop: true},
		{Status: 200, Body: "<html>"},
		{Status: 200, Body: `{"access_token":"x`, Truncate: true},
		{Delay: 300 * time.Millisecond},
		{Status: 200, Body: "{}", SlowBody: 500 * time.Millisecond},
		{Hang: true},
	}
	for i, fault := range kinds {
		share := 0.2 / float64(len(kinds))
		if fault.Hang {
			share /= 10
		}
		fault.Times = -1
		fault.Match = func(r *http.Request) bool {
			return (toToken(r) || toExchange(r)) && rand.Float64() < share/(1-share*float64(i))
		}
		srv.Faults.Add(fault)
	}
}

type soak struct {
	t       *testing.T
	srv     *maskinportentest.Server
	sources []*httpclient.TokenSource

	watch *watch

	requests, answered, failed, cancelled, rejected, longest atomic.Int64
}

func (s *soak) source(changes map[string]any, opts ...httpclient.Option) *httpclient.TokenSource {
	return sourceOf(s.t, s.srv, changes, append(opts,
		httpclient.WithLogger(slog.New(s.watch)),
		httpclient.WithTokenTransport(s.watch.tokens(s.srv.Transport())),
		httpclient.WithBaseTransport(s.watch.api(s.srv.Transport())))...)
}

// rotating signs with one key or the other, as it comes.
func (s *soak) rotating() *httpclient.TokenSource {
	var both []*httpclient.Key
	for _, name := range []string{"client.jwk.json", "other.jwk.json"} {
		key, err := httpclient.ParseJWK(keyFile(s.t, name), "")
		if err != nil {
			s.t.Fatal(err)
		}
		both = append(both, key)
	}
	unknown, err := httpclient.ParseJWK(keyFile(s.t, "other.jwk.json"), "not-registered")
	if err != nil {
		s.t.Fatal(err)
	}
	return s.source(map[string]any{"EncodedJwk": ""}, httpclient.WithKeySource(httpclient.KeySourceFunc(func(context.Context) ([]*httpclient.Key, error) {
		first := rand.IntN(2)
		if rand.IntN(4) == 0 {
			return []*httpclient.Key{unknown, both[first]}, nil
		}
		return []*httpclient.Key{both[first], both[1-first]}, nil
	})))
}

// work makes requests one after the other.
func (s *soak) work(ctx context.Context, worker int) {
	client := s.sources[worker%len(s.sources)].Client()
	for ctx.Err() == nil {
		s.request(ctx, client, worker)
		select {
		case <-time.After(time.Duration(rand.IntN(100)) * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func (s *soak) request(ctx context.Context, client *http.Client, worker int) {
	tries := tries{kind: strconv.Itoa(worker % len(s.sources))}
	if worker%5 == 0 {
		org := fmt.Sprintf("%09d", 100_000_000+rand.IntN(20))
		tries.kind += " for " + org
		ctx = httpclient.ContextWithSystemUser(ctx, httpclient.SystemUser{OrgNo: org})
	}
	if rand.IntN(10) == 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(rand.IntN(50))*time.Millisecond)
		defer cancel()
	}
	ctx = context.WithValue(ctx, triesKey{}, &tries)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.srv.PlatformURL()+"/api", strings.NewReader("x"))
	if err != nil {
		s.t.Error(err)
		return
	}
	start := time.Now()
	resp, err := client.Do(req)
	s.requests.Add(1)
	if wait := int64(time.Since(start)); wait > s.longest.Load() {
		s.longest.Store(wait)
	}
	switch {
	case err != nil && ctx.Err() != nil:
		s.cancelled.Add(1)
	case errors.Is(err, httpclient.ErrTemporary), isRevokedToken(err):
		s.failed.Add(1)
	case err != nil:
		s.t.Errorf("got %v, want an answer", err)
	default:
		status, why := resp.StatusCode, resp.Header.Get("WWW-Authenticate")
		_ = resp.Body.Close()
		switch status {
		case http.StatusOK:
			s.answered.Add(1)
		case http.StatusUnauthorized:
			s.rejected.Add(1)
			s.watch.rejected(s.t, tries, why)
		default:
			s.t.Errorf("got %d, want 200", status)
		}
	}
}

// isRevokedToken reports whether a Maskinporten token was revoked before it could be
// exchanged.
func isRevokedToken(err error) bool {
	var failed *httpclient.TokenError
	return errors.As(err, &failed) && failed.Step == "token exchange" && failed.StatusCode == http.StatusUnauthorized
}

// revoke takes all tokens away now and then.
func (s *soak) revoke(ctx context.Context) {
	for {
		select {
		case <-time.After(10 * time.Second):
			s.srv.RevokeAll()
			s.watch.revocation(time.Now())
		case <-ctx.Done():
			return
		}
	}
}

func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
