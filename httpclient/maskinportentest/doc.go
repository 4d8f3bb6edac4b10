// Package maskinportentest plays Maskinporten, the Altinn token exchange and an
// API behind them, inside your own process: the token endpoint, its metadata,
// the exchange, and handlers of yours that only valid tokens reach. It is for
// tests and demos; nothing it issues is worth anything elsewhere.
//
//	srv := maskinportentest.NewServer()
//	defer srv.Close()
//	srv.Handle("GET /instances", handler, "altinn:serviceowner/instances.read")
//	settings := srv.Section() // what belongs under MaskinportenSettings
//	client := ... // built from settings, over srv.Transport()
//
// [NewServer] listens with TLS on a loopback port, [NewPipe] needs no socket and
// so works inside a testing/synctest bubble. Both know one client from the
// start, which [Server.Section] describes; more come with [WithClient] and
// [Server.AddClient].
//
// # Strictness
//
// The server accepts what Maskinporten documents and nothing more, so that what
// passes here passes there. A grant is refused for its method, content type,
// extra form fields, a query, cookies or an Authorization header; for an
// algorithm other than RS256, RS384 and RS512, a key that is not the client's, a
// wrong signature; for an aud that is not exactly the issuer as one string; for
// an iat over 10 s ahead, a life over 120 s, an exp in the past; for a header
// member besides alg, typ and either kid or x5c; for a jti that arrived before,
// which is never forgotten; for an unknown claim, a repeated JSON member, an
// unregistered scope, malformed authorization_details. Checks use the standard
// library alone, independently of the client they judge. [Server.Refusals] tells
// what was refused and why.
//
// # Trouble on order
//
// [Server.Faults] makes chosen requests slow, fail or vanish. Keys rotate with
// [Server.AddKey], [Server.RemoveKey] and [Server.ExpireKey], tokens die with
// [Server.Revoke], and [WithClock] moves the server's idea of now, its Date
// header included. [Server.Stats] counts exactly.
//
// # Concurrency and secrets
//
// A Server may be used by many goroutines at once. Neither a [Server] nor a
// [Key] prints key material or tokens, and no refusal holds an assertion.
package maskinportentest
