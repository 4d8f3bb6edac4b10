// Package tokencache keeps one value per key and fetches each ahead of its end.
// It knows nothing of what it keeps: [Config.Fetch] gets a value and says how
// long it lives, and [Config.Classify] says what a failed fetch means.
//
// # An item
//
// A key's item is in one of these states. A failed fetch leads back to the state
// before it.
//
//		         a caller asks              Fetch returns a value
//		empty ─────────────────► fetching ───────────────────────► fresh
//		  ▲                         ▲                                │ Life.Refresh
//		  │ evicted, Close          │ a caller asks                  ▼
//		  │                         ├─────────────────────────────  due
//		  │                         │ a caller asks                  │ Life.End
//		  └── any state             └─────────────────────────────  expired
//
//	  - fresh: callers get the value.
//	  - due: callers get the value, and the first of them starts a call.
//	  - empty, expired: callers wait for the call, each no longer than its context.
//
// One call per key is under way at a time. It belongs to no caller and ends after
// 20 seconds at the latest, even if Fetch ignores its context.
//
// # Failures
//
// After a failure an item is not fetched for 1 to 5 seconds, or for as long as the
// server asks, up to a minute. Callers without a value get the remembered error.
//
// # The circuit breaker
//
// One circuit breaker per cache holds all calls back when the client or the server
// fails as a whole.
//
//	        client-wide failure, or 3 keys in a row
//	closed ──────────────────────────────────────────► open
//	  ▲                                                │  ▲
//	  │ the server answers        a second has passed: │  │ the probe fails
//	  │                                  one probe     ▼  │
//	  └──────────────────────────────────────────── half-open
//
// Keys that never were good cannot open it on their own once another key has been
// good: such a key is fetched as a probe first. Probes come from a key that has
// been good, if there is one.
package tokencache
