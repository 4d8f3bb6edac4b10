package httpclient

import (
	"time"
)

// Status is what a token source knows of itself at one moment. [TokenSource.Status]
// makes it without asking any server. It holds no token, key or assertion, and names
// no person: it may be shown to whoever runs the program. As JSON it has the names that
// the fields' tags give. Its times are in UTC and whole seconds.
type Status struct {
	// State sums it up.
	State State `json:"state"`
	// ClientID is the Maskinporten client.
	ClientID string `json:"client_id"`
	// Time is when the status was taken.
	Time time.Time `json:"time"`
	// Failure says why State is "degraded" or "failing". It is nil otherwise.
	Failure *FailureStatus `json:"failure,omitempty"`
	// Key is the signing key that was used last. Before that it is the settings' own key.
	// It is nil if no key is known, such as with Texas.
	Key *KeyStatus `json:"key,omitempty"`
	// Breaker is the circuit breaker of the client's token requests.
	Breaker BreakerStatus `json:"breaker"`
	// Tokens lists what the source gets tokens for, at most 50: the settings' own
	// token first, and then those that contexts asked for, the last one first.
	Tokens []TokenStatus `json:"tokens"`
	// MoreTokens is how many others there are.
	MoreTokens int `json:"more_tokens"`
}

// Ready reports whether the state is "ready" or "degraded": a token can be used now.
func (s Status) Ready() bool { return s.State == StateReady || s.State == StateDegraded }

// State sums up a token source, or one of its tokens.
//
// The state of a source is that of the settings' own token, together with the circuit
// breaker. If nothing has asked for that token, all tokens count together. Then one
// usable token makes the source ready, and only the circuit breaker makes it fail: a
// refusal may concern one token.
type State string

const (
	// StateUnknown says that there is no token to use now, and nothing is known to be
	// wrong. It is so before the first request, and after an idle time in which the
	// token ended: tokens are fetched when they are asked for. A failure is forgotten in
	// this sense if nothing was asked for in the minute after the next try was due.
	StateUnknown State = "unknown"
	// StateReady says that a token can be used now.
	StateReady State = "ready"
	// StateDegraded says that a token can be used now, but that fetching the next one
	// fails: the servers have until the token's end.
	StateDegraded State = "degraded"
	// StateFailing says that there is no token to use, and that fetching one failed.
	StateFailing State = "failing"
	// StateClosed says that the source was closed.
	StateClosed State = "closed"
)

// KeyStatus is what is known of a signing key.
type KeyStatus struct {
	// ID is the id that the key is registered under. It is empty for a certificate.
	ID string `json:"id,omitempty"`
	// Certificate reports whether an enterprise certificate identifies the key.
	Certificate bool `json:"certificate,omitempty"`
	// Expires is when the key ends, zero if that is not known.
	Expires time.Time `json:"expires,omitzero"`
}

// TokenStatus is what is known of one token: what it is for, and how long it lives.
type TokenStatus struct {
	State State `json:"state"`
	// Scope, Resource and ConsumerOrg are what the token is asked for.
	Scope       string `json:"scope"`
	Resource    string `json:"resource,omitempty"`
	ConsumerOrg string `json:"consumer_org,omitempty"`
	// SystemUserOrg and SystemUserRef are a system user's organisation and its external
	// reference.
	SystemUserOrg string `json:"system_user_org,omitempty"`
	SystemUserRef string `json:"system_user_ref,omitempty"`
	// PersonNamed and ConsentNamed report that the token concerns a person or a consent.
	// Who or which is not told.
	PersonNamed  bool `json:"person_named,omitempty"`
	ConsentNamed bool `json:"consent_named,omitempty"`
	// Exchange reports whether this is an Altinn token.
	Exchange bool `json:"exchange"`
	// Expires is when the token in use ends, and NextRefresh when the source begins to
	// ask for a newer one. Both are zero without a token to use.
	Expires     time.Time `json:"expires,omitzero"`
	NextRefresh time.Time `json:"next_refresh,omitzero"`
	// Failure says that the last fetch failed. It is nil if it did not.
	Failure *FailureStatus `json:"failure,omitempty"`
}

// FailureStatus says since when and why fetching fails.
type FailureStatus struct {
	// Since is when the first fetch failed, Count how many failed since in a row, and
	// NextTry when the next one may be made. It is made when a token is asked for.
	Since   time.Time `json:"since"`
	Count   int       `json:"count"`
	NextTry time.Time `json:"next_try"`
	// Error is what to do and what happened, in one line. It has none of the server's
	// own words, which may name a person.
	Error string `json:"error"`
	// StatusCode, Code, MPCode and TraceID are those of the [TokenError].
	StatusCode int    `json:"status,omitempty"`
	Code       string `json:"error_code,omitempty"`
	MPCode     string `json:"mp_code,omitempty"`
	TraceID    string `json:"trace_id,omitempty"`
}

// BreakerState is a state of the circuit breaker.
type BreakerState string

const (
	// BreakerClosed says that every token may be fetched.
	BreakerClosed BreakerState = "closed"
	// BreakerOpen says that no token is fetched until the next probe is due.
	BreakerOpen BreakerState = "open"
	// BreakerHalfOpen says that a probe is under way.
	BreakerHalfOpen BreakerState = "half-open"
)

// BreakerStatus is the circuit breaker. It opens if the client or the server fails as a
// whole, and holds the fetches back until one of them, the probe, succeeds.
type BreakerStatus struct {
	State BreakerState `json:"state"`
	// Failure says why it is not closed; NextTry is the next probe. It is nil otherwise.
	Failure *FailureStatus `json:"failure,omitempty"`
}
