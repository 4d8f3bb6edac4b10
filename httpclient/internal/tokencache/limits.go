package tokencache

import "time"

const (
	// FetchTimeout bounds a call: the wait for a slot, all attempts, all pauses.
	FetchTimeout = 20 * time.Second
	// lastWord is how long before that the fetch's context ends, so that its own
	// error, which says more, arrives first.
	lastWord = 250 * time.Millisecond
	// slotTimeout bounds the wait for a slot. What is left is enough for an attempt.
	slotTimeout = 12 * time.Second
	// closeTimeout is how long Close waits for fetches that ignore their context.
	closeTimeout = 5 * time.Second

	// Slots is how many fetches run at once. The pinned key needs no slot.
	Slots = 64
	// maxAbandoned is how many fetches that ignore their context may be left
	// behind before no more are started.
	maxAbandoned = 64

	// firstPause and longestPause bound how long a failure is remembered.
	firstPause   = time.Second
	longestPause = 5 * time.Second
	// shortestPause is what is left of that while a value nears its end.
	shortestPause = 500 * time.Millisecond
	// longestRetryAfter is how long a key waits at most when the server asks.
	longestRetryAfter = time.Minute

	// streakToOpen is how many failures in a row are not an accident any more.
	streakToOpen = 3
	// probePause is the time between two probes, unless the server asks for up to
	// longestPause.
	probePause = time.Second

	// replacePause is how long after replacing a rejected value the next rejection is
	// believed, but no longer than half of the new value's life.
	replacePause = 10 * time.Second
)
