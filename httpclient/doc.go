// Package httpclient makes [http.Client]s whose requests carry a token of
// Maskinporten, Norway's authorization server for machine-to-machine APIs, or
// an Altinn token that it is exchanged for.
//
// # The way of a token
//
// A configuration section becomes settings ([ParseSettings]); settings become a
// token source ([NewTokenSource]) or at once a client ([New]). At its first
// request the source signs an assertion with the client's private key, posts it
// to Maskinporten as a JWT bearer grant (RFC 7523), exchanges the token at the
// Altinn platform where ExhangeToAltinnToken says so, and keeps it.
//
//	settings, err := httpclient.ParseSettings(section)
//	client, err := httpclient.New(settings)
//	resp, err := client.Get("https://platform.tt02.altinn.no/storage/api/v1/instances")
//
// For credentials that are not an HTTP header, [TokenSource.Token] gives the
// token itself; for chains of RoundTrippers there is [TokenSource.Transport].
//
// # Each request its own token
//
// The settings say what a token is asked for; a request's context may say
// otherwise: [ContextWithScope], [ContextWithResource], [ContextWithConsumerOrg], [ContextWithPerson],
// [ContextWithSystemUser], [ContextWithConsent].
//
//	ctx = httpclient.ContextWithSystemUser(ctx, httpclient.SystemUser{OrgNo: "889640782"})
//	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
//
// Such tokens are kept apart, up to [defaultCacheSize] of them; the least recently
// used leave first.
//
// # Keys
//
// The settings hold a JWK or an enterprise certificate. Keys that are rotated, or
// that never enter the process, come from a [KeySource], which is asked at each fetch.
// While a new key is refused as unknown, which may take two minutes, or the first
// has expired, the next one that is offered is tried at once.
//
// # A token's life
//
// A token lives as long as the server says, counted from the start of the
// request for it (an Altinn token, whose claims are in whole seconds, from a second
// before that), by whichever of the monotonic and the wall clock runs out
// first: a suspended machine wakes to a stale token. In the last 15 % of its life (at
// most 5 minutes) one request starts a refresh in the background and none waits; the
// moment is drawn at random from the first half of that, so that replicas do not ask
// together. In the last 5 % (at most 10 seconds) it is not used any more. A refresh
// that fails keeps the good token, and is tried again until it ends.
//
// One fetch of a kind of token is under way at a time, however many callers want it.
// It is detached from them and bounded to 20 seconds: a caller waits no longer than
// its own context allows, and when all have left, the token is kept all the same.
// Different kinds do not wait for one another, but for a place among 64 fetches at
// once; the settings' own token needs none.
//
// # Failures
//
// What may pass by itself is tried three times, with growing, random pauses and as the
// server's Retry-After says. After a failure nobody asks for that token again for 1 to
// 5 seconds (sooner where a token in use nears its end), or for as long as the server
// asks, up to a minute: callers get the remembered error, which says since when it fails and when the next try is due. What
// concerns the client as a whole (a client, a key or an address that is refused, a
// clock that is wrong, three fetches in a row that fail for now, those of one token
// counting once) holds back the fetches of all its tokens: one a second, or as the
// server asks, finds out whether it is over, and a token that ends meanwhile gets one
// more. Good tokens are used all the while.
//
// A refusal because of this machine's clock is repeated once with the clock
// corrected by the server's, which one warning tells; later assertions are
// corrected as well.
//
// # An API's 401
//
// When an API rejects a token of ours with 401, the request is sent once more with a
// newer token, if its body can be replayed: never more than twice, and never where the
// caller authenticated it. However many requests bring the same token, it is replaced
// once, and again at the earliest after 10 seconds (or half of its life), so that an
// API that rejects everything is believed. Where no newer token is to be had, or the
// body cannot be replayed, the caller gets the API's own answer.
//
// # Where a token may go
//
// To the scheme, host and port that a request started at, however many redirects
// follow, over https or to this machine itself by its literal name;
// [InsecureAllowHTTP] is for the rest. The first host is free: a program that takes
// URLs from outside should list the hosts it means with [WithAllowedHosts]. A caller's
// own Authorization header stays unless OverwriteAuthorizationHeader is set. The
// request passed in is not changed, its body is closed in any case, and no bearer can
// be read in a response's Request. Token requests follow no redirects, keep no
// cookies, use TLS 1.2 or later and share nothing with the API's requests.
//
// Settings, tokens, sources and transports print themselves without secrets,
// settings in an unexported field excepted. Errors and logs hold no token, no
// assertion and no key.
//
// # Telemetry
//
// Steps are logged through log/slog at level Debug, or at Info with EnableDebugLog.
// [WithMeterProvider] and [WithTracerProvider] record with OpenTelemetry.
//
// # Concurrency
//
// Sources, transports, clients and tokens are safe for concurrent use. A source
// starts no goroutine but for a fetch, or a look at an issuer's metadata.
// [TokenSource.Close] ends those and waits for them, and closes idle connections;
// later calls fail with [ErrClosed]. A KeySource or signer that does not heed the end
// of its context is left behind.
package httpclient
