// Package httpclient makes [http.Client]s whose requests carry a Maskinporten token, or
// the Altinn token that it is exchanged for. Maskinporten is Norway's authorization
// server for APIs between machines.
//
//	settings, err := httpclient.ParseSettings(section)
//	source, err := httpclient.NewTokenSource(settings)
//	defer source.Close()
//	client := source.Client()
//	resp, err := client.Get("https://platform.tt02.altinn.no/storage/api/v1/instances")
//
// At the first request the source signs an assertion with the client's private key
// and sends it to Maskinporten (the JWT bearer grant, RFC 7523). It exchanges the
// Maskinporten token at Altinn if ExhangeToAltinnToken says so, and keeps the result.
// [TokenSource.Token] gives the token itself, and [TokenSource.Transport] is for
// chains of RoundTrippers.
//
// # Which token
//
// The settings say what a token is asked for. A request's context may say otherwise:
// [ContextWithScope], [ContextWithResource], [ContextWithConsumerOrg],
// [ContextWithPerson], [ContextWithSystemUser], [ContextWithConsent]. Up to 10,000
// such tokens are kept ([WithCacheSize]). The least recently used leave first.
//
// # Keys
//
// Keys come from the settings, or at each fetch from a [KeySource]. [ReloadingKeys] is one
// that reads a file or a vault again, so that a new key takes no restart.
//
//   - The newest key is used once Maskinporten knows it, and the previous one until
//     then. The log tells it once.
//   - A key that was refused is tried again after two minutes, by one fetch only.
//   - A key that has expired is tried last.
//
// The log warns before a key ends, if its end is known: see [Key.Expires].
//
// On NAIS and SKIP, Texas holds the key and gives Maskinporten's tokens: see [FromNAIS].
// All else stays the same, the exchange at Altinn included. Texas caches tokens, too. It
// is told to skip its cache for a token that was rejected, and for one that is due if it
// still gives the old one.
//
// # A token's life
//
//		from the request for it   the life that the server gives; either clock may end it
//		last 15 %, at most 5 min  one request starts a refresh in the background
//		last 5 %, at most 10 s    the token is not used; requests wait for the next one
//
//	  - One fetch per token is under way at a time. It belongs to no caller and ends
//	    after 20 s at the latest.
//	  - A caller waits only without a usable token, and no longer than its context.
//	  - A refresh that fails keeps the token in use.
//
// # Failures
//
//   - Temporary failures are tried three times, with growing, random pauses.
//   - After that, callers get the remembered error for 1 to 5 s, or for as long as
//     the server asks, up to a minute.
//   - A circuit breaker holds back all fetches of the client if the client itself is
//     refused, or if three tokens in a row fail temporarily. A probe a second finds
//     out whether that is over. Good tokens are used all the while.
//   - An invalid_grant whose Date differs from this machine's clock by 2 s to an hour
//     is tried again once, with the clock corrected.
//
// # An API's 401 and 403
//
//   - The request is sent once more with a newer token, if its body can be.
//   - A token is replaced once, however many requests bring it, and again after 10 s
//     at the earliest.
//   - Without a newer token the caller gets the API's own answer.
//   - An API that refuses two fresh tokens in a row, with 401 or 403, is warned about.
//     The warning says which settings to check.
//
// # Where a token may go
//
//   - To the scheme, host and port at which the request started. Once a redirect has
//     left them, no later request of the chain carries the token.
//   - Over https, or to this machine by its literal name. [InsecureAllowHTTP] lifts
//     that. [WithAllowedHosts] limits the hosts: use it if URLs come from outside.
//   - An Authorization header of the caller's stays, unless
//     OverwriteAuthorizationHeader is set. That request gets no token.
//   - A base transport must not follow redirects.
//   - Token requests follow no redirects, keep no cookies and use TLS 1.2 or later.
//     Texas may be asked over plain http, on this machine only.
//
// Errors begin with the setting to look at and what to do. Errors, logs and printers
// show no token, assertion, key or other secret.
//
// # In operation
//
//   - [TokenSource.Status] tells how long each token lives, when the key ends, and since
//     when and why fetching fails. It asks no server.
//   - [TokenSource.ReadinessHandler] is a readiness check of it. It is ready as long as a
//     token can be used, through an outage too.
//   - [WithAuditLog] writes a record about each token request, which Digdir requires.
//   - [WithMeterProvider] and [WithTracerProvider] record with OpenTelemetry.
//   - Steps are logged at level Debug, or at Info with EnableDebugLog.
//
// # Concurrency
//
// Everything is safe for concurrent use. Goroutines run only for a fetch or a log
// record, and [TokenSource.Close] ends them. Transports for token requests, key
// sources, signers and log handlers hold no caller past its context, or past 20 s.
package httpclient
