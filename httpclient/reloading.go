package httpclient

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/portnokkel/portnokkel/httpclient/internal/tokencache"
	"github.com/portnokkel/portnokkel/internal/problems"
)

// ReloadingKeys is a source of keys that read gives, newest first. A service takes over
// a new key without a restart.
//
//	read := func(ctx context.Context) ([]*httpclient.Key, error) {
//		return vaultkey.Keys(ctx, vault, 2, httpclient.NewKey)
//	}
//	tokens, err := httpclient.NewTokenSource(settings,
//		httpclient.WithKeySource(httpclient.ReloadingKeys(read, 5*time.Minute)))
//
// [KeysFromSettings] makes a read function for keys that settings hold.
//
//   - The first fetch of a token waits for the first reading, unless the settings hold
//     keys. [NewTokenSource] checks those, and they are the first.
//   - Later ones use the keys that are known. If the last reading is older than every, a
//     fetch starts another one in the background. Zero means 60 seconds, which suits a
//     file. For a vault, take 5 minutes. There is no timer: an idle service reads nothing.
//   - If no key works, since Maskinporten does not know it, it has expired or it does not
//     sign, the fetch reads at once and tries the keys that are new. That is done once in
//     10 seconds at most.
//   - If a reading fails, the last good keys stay. The log of the token source tells it
//     once, and once more when reading works again. A list without keys is a failure.
//
// One reading goes on at a time, and all fetches share it. Its context ends after 10
// seconds, or when the token source is closed. A reading that ignores that is left
// behind, and a panic is reported in the log. Errors of read must hold no secret.
//
// The source may be shared by several token sources of one client. A nil read and a
// negative every are errors, of [NewTokenSource] too.
func ReloadingKeys(read func(context.Context) ([]*Key, error), every time.Duration) KeySource {
	reader := &keyReader{read: read, every: every, clock: tokencache.System()}
	r := &reloadingKeys{reader: func() *keyReader { return reader }}
	switch {
	case read == nil:
		r.wrong = errors.New("httpclient: give ReloadingKeys a function that reads keys - it is nil")
	case every < 0:
		r.wrong = fmt.Errorf("httpclient: give ReloadingKeys the time between two readings, or 0 for %v - it is %v", defaultReload, every)
	case every == 0:
		reader.every = defaultReload
	}
	return r
}

type reloadingKeys struct {
	wrong error // with the arguments of ReloadingKeys
	// reader is a function, because reflection reads fields and calls nothing. What
	// changes would be read while it changes.
	reader func() *keyReader
}

// keyReader reads keys and keeps them.
type keyReader struct {
	read  func(context.Context) ([]*Key, error)
	every time.Duration
	clock tokencache.Clock

	mu      sync.Mutex
	keys    []*Key             // of the last good reading; nil before it
	due     tokencache.Instant // when they are read again
	reread  tokencache.Instant // when refused keys are read again at the earliest
	told    map[string]bool    // what the log was told since the last good reading
	running int                // readings that have not returned
	current *reading           // under way; nil without one
}

// reading is one call of the function that reads keys.
type reading struct {
	done chan struct{} // closed at the end of it
	keys []*Key
	err  error
}

// Keys gives the keys that are known, and has them read if they are due.
func (r *reloadingKeys) Keys(ctx context.Context) ([]*Key, error) {
	if r.wrong != nil {
		return nil, r.wrong
	}
	user := keyUserOf(ctx)
	known, wait := r.reader().ask(ctx, user)
	if wait == nil {
		return known, nil
	}
	select {
	case <-wait.done:
		return slices.Clone(wait.keys), wait.err
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for the keys to be read: %w", context.Cause(ctx))
	}
}

// begin takes the keys of the settings for the first reading, unless there was one.
func (r *reloadingKeys) begin(keys []*Key) {
	reader := r.reader()
	reader.mu.Lock()
	defer reader.mu.Unlock()
	if reader.keys == nil {
		reader.keys, reader.due = slices.Clone(keys), reader.clock().Add(reader.every)
	}
}

// Format implements [fmt.Formatter]: every verb prints the name only.
func (r *reloadingKeys) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, "httpclient.ReloadingKeys") }

// ask gives the keys that are known, or the reading to wait for. It starts one if it is
// time for that.
func (r *keyReader) ask(ctx context.Context, user *keyUser) (known []*Key, wait *reading) {
	now := r.clock()
	r.mu.Lock()
	defer r.mu.Unlock()
	must := r.keys == nil || user.refused && r.reread.Reached(now)
	if r.current == nil && (must || r.due.Reached(now)) {
		if user.refused {
			r.reread = now.Add(rereadPause)
		}
		r.due = now.Add(r.every)
		r.start(ctx, user)
	}
	if r.current != nil && (must || user.refused) {
		return nil, r.current
	}
	return slices.Clone(r.keys), nil
}

// start begins a reading, which belongs to no caller. r.mu is held.
func (r *keyReader) start(ctx context.Context, user *keyUser) {
	current := &reading{done: make(chan struct{})}
	r.current = current
	user.guards.enter()
	go func() {
		defer user.guards.leave()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTimeout)
		defer cancel()
		defer context.AfterFunc(user.life, cancel)()
		keys, err := guardWith(ctx, user.guards, "the function that reads keys", func() ([]*Key, error) { return r.once(ctx) },
			func() bool { return r.tells("panic") })
		if errors.Is(ctx.Err(), context.DeadlineExceeded) && err != nil {
			err = fmt.Errorf("reading takes longer than %v: %w", readTimeout, err)
		}
		r.end(ctx, user, current, keys, err)
	}()
}

var errReadings = fmt.Errorf("%d earlier readings have not returned", maxReadings)

// once calls the function, unless it has been left behind too often.
func (r *keyReader) once(ctx context.Context) ([]*Key, error) {
	if !r.count(1) {
		return nil, errReadings
	}
	defer r.count(-1)
	keys, err := r.read(ctx)
	switch {
	case err != nil:
		return nil, err
	case len(keys) == 0:
		return nil, errNoKeys
	case slices.ContainsFunc(keys, (*Key).isZero):
		return nil, errNilKey
	}
	return slices.Clone(keys), nil // the function may change its own
}

// count counts the calls that have not returned, and reports whether one more may begin.
func (r *keyReader) count(n int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running+n > maxReadings {
		return false
	}
	r.running += n
	return true
}

// end keeps the result of a reading and tells the log what it has not been told yet.
func (r *keyReader) end(ctx context.Context, user *keyUser, current *reading, keys []*Key, err error) {
	client := slog.String("client_id", user.clientID)
	var unread *unreadError
	var cure string // failures differ by it, if it is known
	if errors.As(err, &unread) {
		cure = unread.cure
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	defer close(current.done)
	r.current = nil
	current.keys, current.err = keys, err
	isClosed := user.life.Err() != nil
	switch {
	case err != nil && r.keys != nil && !isClosed && r.isNews(cure):
		user.log.warn(ctx, "the keys could not be read again; those in use are kept", client, slog.String("error", problems.OneLine(err)))
	case err == nil && len(r.told) > 0:
		user.log.tell(ctx, slog.LevelInfo, "the keys can be read again", client)
	}
	if err != nil {
		return
	}
	if r.keys != nil && !slices.EqualFunc(r.keys, keys, (*Key).is) {
		user.log.tell(ctx, slog.LevelInfo, "there are other keys now", client, slog.String("keys", listed(keys)))
	}
	r.keys, r.told = keys, nil
}

// tells reports whether the log is to be told of a failure. It is told of each kind once
// between two good readings.
func (r *keyReader) tells(what string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.isNews(what)
}

func (r *keyReader) isNews(what string) bool {
	if r.told[what] {
		return false
	}
	if r.told == nil {
		r.told = map[string]bool{}
	}
	r.told[what] = true
	return true
}

// listed names keys in a sentence.
func listed(keys []*Key) string {
	names := make([]string, len(keys))
	for i, key := range keys {
		names[i] = key.String()
	}
	return strings.Join(names, ", ")
}

// unreadError says why keys could not be read, and what to do.
type unreadError struct {
	cure string
	err  error
}

func (e *unreadError) Error() string {
	return "httpclient: " + e.cure + " - " + problems.OneLine(e.err)
}

func (e *unreadError) Unwrap() error { return e.err }

// keyUser is the token source that asks for keys. It travels in the context, so that it
// comes through a KeySource of the program's own to the one of ReloadingKeys.
type keyUser struct {
	clientID string
	log      stepLog
	guards   *guards
	life     context.Context // ends with the token source
	refused  bool            // Maskinporten did not accept the keys
}

type keyUserKey struct{}

func contextWithKeyUser(ctx context.Context, user *keyUser) context.Context {
	return context.WithValue(ctx, keyUserKey{}, user)
}

// keyUserOf is the token source that asks. For a caller that is not one, the log is
// nobody's.
func keyUserOf(ctx context.Context) *keyUser {
	if user, ok := ctx.Value(keyUserKey{}).(*keyUser); ok {
		return user
	}
	log := newStepLog(slog.New(slog.DiscardHandler), false)
	return &keyUser{log: log, guards: &guards{log: log}, life: context.Background()}
}
