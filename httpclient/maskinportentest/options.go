package maskinportentest

import (
	"cmp"
	"strings"
	"time"
)

// defaultScope is the scope of the Altinn guide's example.
const defaultScope = "altinn:serviceowner/instances.read"

// digdirOrgNo is the organisation for which Altinn's ?test=true has an effect.
const digdirOrgNo = "991825827"

// Option changes a server before it starts. A nil Option changes nothing.
type Option func(*config)

type config struct {
	clock            func() time.Time // nil: time.Now
	clients          []Client
	key              Key
	issuer, platform string // empty: the server's own address
	tokenLife        time.Duration
	altinnLife       time.Duration
	testOrg          string
	latency          time.Duration
	noOAuthMetadata  bool
	noOpenIDMetadata bool
}

func newConfig(opts []Option) config {
	c := config{tokenLife: 2 * time.Minute, altinnLife: 30 * time.Minute, testOrg: digdirOrgNo}
	for _, opt := range opts {
		if opt != nil {
			opt(&c)
		}
	}
	if len(c.clients) == 0 {
		c.clients = []Client{{}}
	}
	first := &c.clients[0]
	first.ID = cmp.Or(first.ID, "maskinportentest-client")
	first.OrgNo = cmp.Or(first.OrgNo, digdirOrgNo)
	if len(first.Scopes) == 0 {
		first.Scopes = []string{defaultScope}
	}
	if len(first.Keys) == 0 && c.key.private != nil {
		first.Keys = []Key{c.key}
	}
	return c
}

// WithClock sets the server's clock. It judges assertions, keys and tokens, and
// sets every answer's Date header. Many goroutines call it at once. The default,
// also for nil, is [time.Now].
func WithClock(now func() time.Time) Option { return func(c *config) { c.clock = now } }

// WithClient registers a client. The first one replaces the default client, and later
// ones are registered as they are. The first one gets the default for what it leaves
// empty:
//
//   - the ID "maskinportentest-client",
//   - the scope "altinn:serviceowner/instances.read",
//   - the organisation "991825827",
//   - a generated key.
func WithClient(client Client) Option {
	return func(c *config) { c.clients = append(c.clients, client) }
}

// WithKey sets the default client's key, unless [WithClient] gave it keys. Without
// it the server generates a key of 2048 bits when one is first asked for. That
// takes a noticeable part of a second: share one [Key] among many servers.
func WithKey(key Key) Option { return func(c *config) { c.key = key } }

// WithIssuer sets the issuer, an https URL. It stays as it is spelt:
// "https://test.maskinporten.no/" has a trailing slash, and Skyporten's
// "https://sky.maskinporten.no" has none. [Server.Transport] then reaches the
// server under that host, and Maskinporten's endpoints answer under no other. The
// default, also for "", is the server's own address with a trailing slash.
func WithIssuer(issuer string) Option { return func(c *config) { c.issuer = issuer } }

// WithPlatform sets Altinn's base URL, such as "https://platform.tt02.altinn.no".
// A trailing slash is dropped. [Server.Transport] then reaches the exchange under
// that host, and the exchange answers under no other. The default, also for "", is
// the server's own address.
func WithPlatform(baseURL string) Option {
	return func(c *config) { c.platform = strings.TrimSuffix(baseURL, "/") }
}

// WithoutOAuthMetadata removes the metadata at
// .well-known/oauth-authorization-server, as at an issuer that has only OpenID
// Connect's.
func WithoutOAuthMetadata() Option { return func(c *config) { c.noOAuthMetadata = true } }

// WithoutOpenIDMetadata removes the metadata at .well-known/openid-configuration.
// With [WithoutOAuthMetadata] as well there is no metadata.
func WithoutOpenIDMetadata() Option { return func(c *config) { c.noOpenIDMetadata = true } }

// WithTokenLifetime sets the life of Maskinporten tokens, 120 s by default. The
// server accepts a token for exactly this long. Its expires_in is rounded down to
// whole seconds, and so are its iat and exp: who goes by exp stops up to a second
// earlier.
func WithTokenLifetime(d time.Duration) Option { return func(c *config) { c.tokenLife = d } }

// WithAltinnTokenLifetime sets the life of Altinn tokens, 30 minutes by default. A
// token's iat and exp are rounded down to whole seconds. The server goes by exp, so a
// token may expire up to a second before d has passed.
func WithAltinnTokenLifetime(d time.Duration) Option { return func(c *config) { c.altinnLife = d } }

// WithAltinnTestOrg sets the organisation for which the exchange's ?test=true
// gives a token of the test organisation "ttd". For others it has no effect. The
// default is Digdir's number, which is also the default client's.
func WithAltinnTestOrg(orgNo string) Option { return func(c *config) { c.testOrg = orgNo } }

// WithLatency delays every answer of Maskinporten and of the exchange, not those
// of handlers. The default is no delay.
func WithLatency(d time.Duration) Option { return func(c *config) { c.latency = d } }
