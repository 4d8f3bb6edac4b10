// Package tokencache keeps one value per key and fetches each ahead of its end.
// It knows nothing of what it keeps: [Config.Fetch] gets a value and says how
// long it lives, and [Config.Classify] says what a failed fetch means.
//
// # An item
//
// A key's item is in one of these states. A failed fetch leads back to the state
// before it.
//
//	         a caller asks              Fetch returns a value
//	empty ─────────────────► fetching ───────────────────────► fresh
//	  ▲                         ▲                                │ Life.Refresh
//	  │ evicted, Close          │ a caller asks                  ▼
//	  │                         ├─────────────────────────────  due
//	  │                         │ a caller asks                  │ Life.End
//	  └── any state             └─────────────────────────────  expired
//
//	  - fresh: callers get the value.
//	  - due: callers get the value, and the first of them starts a call.
//	  - empty, expired: callers wait for the call, each no longer than its context.
//
// One call per key is under way at a time. It belongs to no caller and ends after
// 20 seconds at the latest, even if Fetch ignores its context. A key that is being
// fetched is not evicted.
//
// # Failures
//
// After a failure an item is not fetched for 1 to 5 seconds, or for as long as the
// server asks, up to a minute. The pauses are shorter while a value nears its end.
// Callers without a value get the remembered error.
//
// # The circuit breaker
//
// One circuit breaker per cache holds all calls back when the client or the server
// fails as a whole.
//
//	        client-wide failure, or 3 keys in a row and no other is good
//	closed ──────────────────────────────────────────► open
//	  ▲                                                │  ▲
//	  │ the server answers         a probe is due:     │  │ the probe fails
//	  │                            it is made          ▼  │
//	  └──────────────────────────────────────────── half-open
//
// Some keys may fail while the server is well. If three fail in a row, the cache
// therefore checks: it fetches the key that was good last, at most once a second. If
// that one fails too, the breaker opens. A refusal of one key is an answer.
//
// A probe is due after a second, or after up to 5 if the server asks. It comes from a
// key that has been good, if there is one that may be fetched. A key that has failed
// lets others go first for a second.
//
// Callers whose value has just ended are an exception. Their key is fetched at once,
// even before the server's time, since they had a value until now. There are no more
// exceptions than probes.
package tokencache
