// Package maskinportentest runs Maskinporten, the Altinn token exchange and an
// API behind them inside your own process. It is for tests and demos: its tokens
// are worth nothing elsewhere.
//
//	srv := maskinportentest.NewServer()
//	defer srv.Close()
//	srv.Handle("GET /instances", handler, "altinn:serviceowner/instances.read")
//	settings := srv.Section() // what stands under MaskinportenSettings
//	client := ... // built from settings, over srv.Transport()
//
// [NewServer] listens with TLS on a loopback port. [NewPipe] needs no socket and
// works inside a testing/synctest bubble. Both know one client from the start,
// which [Server.Section] describes. [WithClient] and [Server.AddClient] add more.
//
// # What it refuses
//
// The server accepts what Maskinporten documents and nothing more. It refuses a
// token request for:
//
//   - its method, content type, query, cookies, Authorization header or an extra
//     form field;
//   - an algorithm other than RS256, RS384 and RS512, an unknown or expired key,
//     a wrong signature, a header member besides alg, typ and either kid or x5c;
//   - an aud that is not exactly the issuer, as one string;
//   - an iat over 10 s ahead, a life over 120 s, an exp in the past;
//   - a jti that it has seen, however long ago and whatever became of the request;
//   - an unknown claim, a repeated member, a resource that is not an absolute URI
//     without a fragment, malformed authorization_details;
//   - a scope that the client may not have, see [Client].
//
// The answers have Maskinporten's codes, texts and shapes. [Server.Refusals] lists
// what was refused and why. The checks use the standard library only, so they do
// not share a mistake with the client that they judge.
//
// # Texas
//
// [NewTexas] puts NAIS's token service in front of a server, on plain http as NAIS has
// it. [Texas.Getenv] gives the variables that lead an application there.
//
// # Tokens
//
// Maskinporten tokens are JWTs (RS256) with the claims of the real ones. Their
// key is in the issuer's jwks_uri. It is the same for all servers and is public,
// so check iss as well. Handlers and the exchange accept only tokens that this
// server has issued and not revoked, whatever their signature.
//
// # Faults
//
//   - [Server.Faults] makes chosen requests slow, fail or hang.
//   - [Server.AddKey], [Server.AddKeyAfter], [Server.ExpireKey] and
//     [Server.RemoveKey] rotate keys.
//   - [Server.Revoke] and [Server.RevokeAll] end tokens early.
//   - [WithClock] moves the server's clock and its Date header.
//   - [WithoutOAuthMetadata] and [WithoutOpenIDMetadata] remove metadata.
//
// # Concurrency and secrets
//
// A [Server] is safe for concurrent use. Neither a [Server] nor a [Key] prints key
// material or tokens, and [Server.Refusals] holds no assertion and no token. A nil
// or zero Server knows nothing, refuses everything and panics nowhere.
package maskinportentest
