package httpclient

import (
	"errors"
	"sync"
	"time"
)

// failure remembers that fetching a token failed, so that a broken set-up or a
// server in trouble is not asked on behalf of every caller.
type failure struct {
	err   error // nil: the last fetch succeeded
	count int
	since instant
	next  instant // nobody asks before
}

const (
	// firstPause and longestPause bound how long a failure is remembered, where
	// the server did not ask for longer, which longestWish bounds.
	firstPause   = time.Second
	longestPause = 5 * time.Second
	longestWish  = time.Minute
	// shortestPause is what is left of that while a token nears its end.
	shortestPause = 500 * time.Millisecond
)

// record notes a failure. inUse is the token that there still is, if any: as it
// nears its end the next tries come sooner, so that one succeeds before
// anybody has to wait for it.
func (f *failure) record(err error, now instant, inUse *Token) {
	pause := min(firstPause<<min(f.count, 8), longestPause)
	wish := min(wishOf(err), longestWish)
	if inUse.usable(now) && wish == 0 {
		pause = min(pause, max(inUse.stale.since(now)/2, shortestPause))
	}
	f.note(err, now, max(pause, wish))
	// Once that token is used up, callers wait: it is worth another try then.
	if inUse.usable(now) && f.next.after(inUse.stale) {
		f.next = inUse.stale
	}
}

// note remembers a failure for so long.
func (f *failure) note(err error, now instant, pause time.Duration) {
	if f.count == 0 {
		f.since = now
	}
	f.err, f.next = err, now.add(pause)
	f.count++
}

// wishOf is how long the server asked to wait.
func wishOf(err error) time.Duration {
	var failed *TokenError
	if errors.As(err, &failed) {
		return failed.RetryAfter
	}
	return 0
}

func (f *failure) isOver(now instant) bool { return f.err == nil || f.next.reached(now) }

// report is the remembered error, with when it began and when it ends.
func (f *failure) report() error {
	var known *TokenError
	if !errors.As(f.err, &known) {
		return f.err
	}
	dated := *known
	dated.Since, dated.RetryAt = f.since.time(), f.next.time()
	return &dated
}

// trouble is a failure that concerns every token of a client: servers that are in
// trouble, or a refusal of the client itself. While it lasts, one fetch now and then
// finds out whether it is over: one a second, unless the server asks for up to
// longestPause. Tokens that have not failed themselves come before those that have.
type trouble struct {
	mu sync.Mutex
	failure
	times  int    // how often there was trouble: the number of the last one
	streak int    // of fetches that failed for now; those of one token in a row are one
	last   *entry // of them
	prober *entry // that found out last
}

// manyFailures in a row are no accident any more.
const manyFailures = 3

// admit lets an entry's fetch begin when it is time for one, or gives the error that
// stands in its way. hasFailed is whether the entry's last fetch did: it lets others
// go first then, unless it is the one to find out anyhow.
func (t *trouble) admit(e *entry, hasFailed bool, now instant) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil {
		return nil
	}
	mine := t.failure
	if hasFailed && t.prober != e {
		mine.next = mine.next.add(firstPause)
	}
	if !mine.isOver(now) {
		return mine.report()
	}
	// This fetch finds out; others wait for what it finds.
	t.next, t.prober = now.add(firstPause), e
	return nil
}

// known is how often there was trouble so far.
func (t *trouble) known() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.times
}

// overtook gives the trouble that came up since so often was known, while a fetch
// waited for its turn.
func (t *trouble) overtook(known int) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil || t.times == known {
		return nil
	}
	return t.report()
}

// learn keeps an entry's result, where it tells of more than its own token.
func (t *trouble) learn(e *entry, err error, now instant) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var failed *TokenError
	switch {
	case errors.Is(err, ErrTemporary):
		if t.last != e {
			t.last, t.streak = e, t.streak+1
		}
		if t.streak < manyFailures {
			return
		}
	case errors.As(err, &failed) && failed.wide:
	case err == nil || failed != nil: // a token, or what was asked for was refused: all else is well
		t.failure, t.streak, t.last = failure{}, 0, nil
		return
	default: // it tells nothing
		return
	}
	if t.err == nil {
		t.times++
		t.prober = e
	}
	t.note(err, now, max(firstPause, min(wishOf(err), longestPause)))
}
