// Package faulttest makes HTTP servers fail on purpose, and runs servers for tests. It
// works for any handler, and knows nothing of tokens or vaults. The project's two
// doubles, provider/vaulttest and httpclient/maskinportentest, are built on it.
//
//   - A [Queue] wraps an [http.Handler] and makes chosen requests fail: with an
//     answer of your own, a delay, no answer, a truncated body or a dropped
//     connection. Each [Fault] says what goes wrong with which requests.
//   - A [Server] runs a handler behind TLS on a loopback port ([StartTLS]), or in
//     memory without a socket ([StartPipe]). The latter works inside a
//     testing/synctest bubble.
//
// Both doubles have a field Faults, which is a Queue, and the methods Transport and
// Client of a Server.
//
// The package does not import testing, so programs such as demos can use it too.
// All types are safe for concurrent use, and so are their nil and zero values.
package faulttest
