package maskinportentest

import "time"

// What Maskinporten allows an assertion.
// https://docs.digdir.no/docs/Maskinporten/maskinporten_protocol_jwtgrant
const (
	maxAhead = 10 * time.Second  // iat may be this far ahead of the server
	maxLife  = 120 * time.Second // exp may be this long after iat
)

// What the server reads and keeps.
const (
	maxForm     = 64 << 10 // bytes of a token request; far more than one takes
	maxDepth    = 16       // nesting of JSON; deeper than any claim
	maxRefusals = 1000     // kept by Refusals, so that a soak does not grow it without end
	pruneEvery  = 256      // tokens kept between two sweeps of the expired ones
)

// texasLeeway is how long before a token's end Texas gives it no more. For a token of a
// shorter life it is half of that.
// https://github.com/nais/texas/blob/master/src/cache.rs
const texasLeeway = 120 * time.Second
