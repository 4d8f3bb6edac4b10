// Package faulttest breaks HTTP servers on purpose, and runs them where a test
// can reach them. It is the vocabulary that the project's two test doubles,
// vaulttest and maskinportentest, share; it knows nothing of tokens or vaults.
//
// A [Queue] wraps any [http.Handler] and makes chosen requests fail: an answer
// of your own, a delay, no answer at all, a body cut short, a connection
// dropped. A [Server] runs a handler either behind TLS on a loopback port
// ([StartTLS]) or in memory without any socket ([StartPipe]), the latter for
// use inside a testing/synctest bubble.
//
// Nothing here imports package testing, so programs such as demos may use it
// too. All types are safe for concurrent use.
package faulttest
