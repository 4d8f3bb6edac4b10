package maskinportentest

import (
	"strings"
	"time"
)

// defaultScope is the scope of the Altinn guide's example.
const defaultScope = "altinn:serviceowner/instances.read"

// digdirOrgNo is the organisation that Altinn's ?test=true is made for.
const digdirOrgNo = "991825827"

// Option changes a server before it starts.
type Option func(*config)

type config struct {
	clock            func() time.Time // nil: time.Now
	clients          []Client
	key              Key
	issuer, platform string
	tokenLife        time.Duration
	altinnLife       time.Duration
	testOrg          string
	latency          time.Duration
}

func newConfig(opts []Option) config {
	c := config{tokenLife: 2 * time.Minute, altinnLife: 30 * time.Minute, testOrg: digdirOrgNo}
	for _, opt := range opts {
		opt(&c)
	}
	if len(c.clients) == 0 {
		c.clients = []Client{{}}
	}
	def := &c.clients[0]
	if def.ID == "" {
		def.ID = "maskinportentest-client"
	}
	if len(def.Scopes) == 0 {
		def.Scopes = []string{defaultScope}
	}
	if def.OrgNo == "" {
		def.OrgNo = digdirOrgNo
	}
	if len(def.Keys) == 0 && c.key.private != nil {
		def.Keys = []Key{c.key}
	}
	return c
}

// WithClock sets the server's clock, which judges assertions and tokens and
// stamps every answer's Date header. It is called concurrently. Without it the
// clock is [time.Now].
func WithClock(now func() time.Time) Option { return func(c *config) { c.clock = now } }

// WithClient registers a client. The first one takes the place of the default
// client, and what it leaves empty gets the default client's value: the id
// "maskinportentest-client", the scope altinn:serviceowner/instances.read, the
// organisation 991825827 and a generated key. Later ones are registered as they are.
func WithClient(client Client) Option {
	return func(c *config) { c.clients = append(c.clients, client) }
}

// WithKey sets the default client's key, unless [WithClient] gave it keys.
// Without it a 2048-bit key is generated when it is first asked for, which takes
// a noticeable part of a second: share one [Key] among many servers.
func WithKey(key Key) Option { return func(c *config) { c.key = key } }

// WithIssuer sets the issuer, an https URL such as
// "https://test.maskinporten.no/". A missing trailing slash is added.
// [Server.Transport] then reaches the server under that host, and its endpoints
// answer under no other.
func WithIssuer(issuer string) Option {
	return func(c *config) { c.issuer = strings.TrimSuffix(issuer, "/") + "/" }
}

// WithPlatform sets Altinn's base URL, such as
// "https://platform.tt02.altinn.no". A trailing slash is dropped.
// [Server.Transport] then reaches the exchange under that host, and it answers
// under no other.
func WithPlatform(baseURL string) Option {
	return func(c *config) { c.platform = strings.TrimSuffix(baseURL, "/") }
}

// WithTokenLifetime sets the life of Maskinporten tokens, 120 s by default.
// Their expires_in is rounded down to whole seconds.
func WithTokenLifetime(d time.Duration) Option { return func(c *config) { c.tokenLife = d } }

// WithAltinnTokenLifetime sets the life of exchanged tokens, 30 minutes by
// default. As in every JWT their iat and exp are whole seconds, rounded down, so
// one may expire up to a second before d has passed.
func WithAltinnTokenLifetime(d time.Duration) Option { return func(c *config) { c.altinnLife = d } }

// WithAltinnTestOrg sets the organisation for which the exchange's ?test=true
// gives a token of the test organisation "ttd"; for others it has no effect. The
// default is Digdir's number, which is also the default client's.
func WithAltinnTestOrg(orgNo string) Option { return func(c *config) { c.testOrg = orgNo } }

// WithLatency delays every answer of Maskinporten and of the exchange, not those
// of handlers. Zero, the default, is none.
func WithLatency(d time.Duration) Option { return func(c *config) { c.latency = d } }
