// Package azure holds everything in provider that depends on how the Azure SDK
// for Go behaves and on the words of its errors.
//
// A [Session] is one load's way to a vault. [Open] makes one with a client of its
// own, [Wrap] with the caller's. What goes wrong becomes a [Diagnosis], which says
// what happened and what to do without a word that a server chose:
//
//   - session.go, listing.go, versions.go: the calls, each of which ends with its context
//   - lasting.go: the way of a client that lives longer than a load
//   - gate.go: one request goes first, so that the vault's challenge is met once
//   - credential.go: the identities
//   - challenge.go: which challenges the SDK may act on
//   - wire.go, retry.go: each request and answer, and what is tried again
//   - transport.go: the connections
//   - diagnose.go, late.go, identity.go: errors, taken apart; netcause reads those of the
//     network
//   - quote.go: what may be quoted
//   - meanings.go: the table of what they mean and what to do
//   - limits.go: every limit, with its reason
//
// TestReadAgainst names the versions of the SDK that all this was read against.
package azure
