package httpclient_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portnokkel/portnokkel/httpclient"
)

// slowIssuer gives tokens of one life, each after a while, and notes when.
type slowIssuer struct {
	life    time.Duration
	latency time.Duration

	mu    sync.Mutex
	asked []time.Time
}

func (s *slowIssuer) RoundTrip(*http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.asked = append(s.asked, time.Now())
	s.mu.Unlock()
	pass(s.latency)
	return tokenAnswer("t", int(s.life/time.Second)), nil
}

func (s *slowIssuer) times() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]time.Time(nil), s.asked...)
}

// Tokens of every life, asked for at every rate: how many token requests that takes,
// and who waits. If requests come often enough to find the token due but still in use,
// only the very first waits.
func TestTokenLives(t *testing.T) {
	t.Parallel()
	const latency = 20 * time.Millisecond
	for _, life := range []time.Duration{5 * time.Second, 10 * time.Second, 30 * time.Second, 120 * time.Second, 599 * time.Second, time.Hour, 2 * time.Hour} {
		for _, every := range []time.Duration{time.Hour, time.Minute, time.Second, 100 * time.Millisecond, time.Millisecond} {
			t.Run(fmt.Sprintf("%v/%v", life, every), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					issuer := &slowIssuer{life: life, latency: latency}
					source, _ := instant(t, httpclient.WithTokenTransport(issuer))
					defer source.Close()
					start := time.Now()
					waits, requests := 0, 0
					ask := func() {
						requests++
						before := time.Now()
						token, err := source.Token(t.Context())
						if err != nil {
							t.Fatal(err)
						}
						if time.Since(before) > 0 {
							waits++
						}
						if left := time.Until(token.Expires()); left < min(life/20, 10*time.Second)-latency {
							t.Fatalf("got a token with %v left, want a longer one", left)
						}
					}
					ask()
					// At high rates only what happens around the latest refresh is played.
					const most = 4000
					latest, end := httpclient.Schedule(life, 1)
					if lead := latest - most/2*every; lead > 0 {
						pass(lead)
					}
					for end := time.Now().Add(most * every); time.Now().Before(end) && time.Since(start) < 12*life+20*every; {
						ask()
						pass(every)
					}
					synctest.Wait()

					played := time.Since(start)
					asked := len(issuer.times())
					if most := int(played/(life*84/100)) + 1; asked > most {
						t.Errorf("got %d token requests in %v, want at most %d", asked, played, most)
					}
					if often := every+latency < end-latest; often && waits != 1 {
						t.Errorf("got %d of %d requests that waited, want 1", waits, requests)
					}
					if waits > asked {
						t.Errorf("got %d requests that waited for %d tokens, want no more than tokens", waits, asked)
					}
					t.Logf("life %v, every %v: %d requests, %d token requests, %d waited, in %v", life, every, requests, asked, waits, played)
				})
			})
		}
	}
}

// Replicas that start together do not refresh together.
func TestReplicasSpreadTheirRefreshes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const replicas = 1000
		issuers := make([]*slowIssuer, replicas)
		sources := make([]*httpclient.TokenSource, replicas)
		for i := range replicas {
			issuers[i] = &slowIssuer{life: 2 * time.Minute}
			sources[i], _ = instant(t, httpclient.WithTokenTransport(issuers[i]))
			defer sources[i].Close()
		}
		start := time.Now()
		for range 118 {
			for _, source := range sources {
				if _, err := source.Token(context.Background()); err != nil {
					t.Fatal(err)
				}
			}
			pass(time.Second)
		}
		synctest.Wait()
		perSecond := map[int]int{}
		for _, issuer := range issuers {
			times := issuer.times()
			if len(times) != 2 {
				t.Fatalf("got %d token requests, want 2", len(times))
			}
			perSecond[int(times[1].Sub(start)/time.Second)]++
		}
		// 9 s of window: about 111 a second.
		for second, n := range perSecond {
			if second < 102 || second > 112 || n > 200 {
				t.Errorf("got %d replicas that refresh in second %d, want at most 200 from 102 to 112", n, second)
			}
		}
		if len(perSecond) < 8 {
			t.Errorf("got refreshes in %d seconds, want at least 8", len(perSecond))
		}
	})
}
