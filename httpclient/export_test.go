package httpclient

import (
	"net/http"
	"time"

	"github.com/portnokkel/portnokkel/httpclient/internal/tokencache"
)

// WithClocks injects the two clocks, which synctest cannot set apart.
func WithClocks(wall func() time.Time, monotonic func() time.Duration) Option {
	return func(o *options) {
		o.clock = func() tokencache.Instant {
			return tokencache.Instant{Wall: wall().UnixNano(), Monotonic: int64(monotonic())}
		}
	}
}

// Unverified makes a key whose signatures are not checked, for tests of thousands of
// tokens: a true signature takes a millisecond.
func Unverified(key *Key) *Key {
	unverified := *key
	unverified.verify = nil
	return &unverified
}

// Schedule lets tests check the life of tokens of every length.
var Schedule = schedule

// Redacted is what stands in place of a secret.
const Redacted = redacted

// Cached is how many tokens of requests with options of their own are kept.
func Cached(s *TokenSource) int { return s.open().cache.Len() }

// Flush waits until the log handler has taken every record.
func Flush(s *TokenSource) { s.open().log.queue.wait() }

// TokenTransport is a new one as a source has it without WithTokenTransport.
func TokenTransport() *http.Transport { return newTokenTransport() }

// Warnings are about the keys that a section of these settings had and that mean
// nothing.
func Warnings(s MaskinportenSettings) []string { return s.unknownWarnings() }

// DefaultCacheSize is the number that WithCacheSize documents.
const DefaultCacheSize = defaultCacheSize

// ExchangeThrough sends the exchange's requests, and no others, through a transport.
func ExchangeThrough(s *TokenSource, transport http.RoundTripper) {
	s.open().exchanger.endpoint.transport = transport
}

// Refusing is how many hosts are remembered that refuse tokens.
func Refusing(s *TokenSource) int { return int(s.open().refusals.remembered.Load()) }
