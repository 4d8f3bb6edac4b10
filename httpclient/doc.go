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
//	settings, warnings, err := httpclient.ParseSettings(section)
//	client, err := httpclient.New(settings)
//	resp, err := client.Get("https://platform.tt02.altinn.no/storage/api/v1/instances")
//
// For credentials that are not an HTTP header, [TokenSource.Token] gives the
// token itself; for chains of RoundTrippers there is [TokenSource.Transport].
//
// # Each request its own token
//
// The settings say what a token is asked for; a request's context may say
// otherwise: [WithScope], [WithResource], [WithConsumerOrg], [WithPerson],
// [WithSystemUser], [WithConsent].
//
//	ctx = httpclient.WithSystemUser(ctx, httpclient.SystemUser{OrgNo: "889640782"})
//	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
//
// Such tokens are kept apart, up to [DefaultCacheSize] of them; the least recently
// used leave first.
//
// # Keys
//
// The settings hold a JWK or an enterprise certificate. Keys that are rotated, or
// that never enter the process, come from a [KeySource]: it is asked at each fetch,
// and while Maskinporten does not know its first key yet, the next is used.
//
// # A token's life
//
// A token lives as long as the server says, counted from the start of the
// request for it (an Altinn token, whose claims are in whole seconds, from a second
// before that), by whichever of the monotonic and the wall clock runs out
// first. In the last 15 % of its life (at most 5 minutes) one request starts a
// refresh in the background and none waits; in the last 5 % (at most 10
// seconds) it is not used any more. A refresh that fails keeps the good token.
//
// One fetch is under way at a time, however many callers want it. It is
// detached from them and bounded to 20 seconds. What may pass by itself is tried
// three times; a caller waits no longer than its own context allows. After a
// failure nobody asks again for 1 to 5 seconds, or for as long as the server
// asks, up to a minute: callers get the remembered error, which says since when it
// fails and when the next try is due. A token that an API rejected is replaced, but
// at most once in 10 seconds (or half of its life), so that an API that rejects
// everything is believed.
//
// A refusal because of this machine's clock is repeated once with the clock
// corrected by the server's, which one warning tells; later assertions are
// corrected as well.
//
// # Where a token may go
//
// To the scheme, host and port that a request started at, over https or to this
// machine itself. The first host is free: a program that takes URLs from
// outside should list the hosts it means with [WithAllowedHosts]. Token requests
// follow no redirects and share nothing with the API's requests.
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
// starts no goroutine but for a fetch; [TokenSource.Close] ends those.
package httpclient
