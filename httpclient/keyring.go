package httpclient

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"github.com/portnokkel/portnokkel/httpclient/internal/tokencache"
)

// keyring says which keys a token is asked for with, and in which order.
//
//   - The newest key comes first, as the source lists them.
//   - A key that Maskinporten has refused comes after the others for refusedPause. The
//     first fetch after that tries it in its place again.
//   - A key that has expired comes last.
type keyring struct {
	source KeySource
	own    bool // the keys are those of the settings, which do not change
	user   *keyUser
	again  *keyUser           // user, after the keys were refused
	end    context.CancelFunc // of their life
	clock  tokencache.Clock

	mu      sync.Mutex
	refused []refusedKey
}

// refusedKey is a key that Maskinporten does not know, or no longer accepts.
type refusedKey struct {
	key   *Key
	why   error              // ErrUnknownKey or ErrExpiredKey
	again tokencache.Instant // when it is tried in its place again
	told  bool               // the log tells that another key is used
}

func newKeyring(source KeySource, user keyUser, clock tokencache.Clock) *keyring {
	r := &keyring{source: source, clock: clock}
	_, r.own = source.(fixedKeys)
	user.life, r.end = context.WithCancel(context.Background())
	again := user
	again.refused = true
	r.user, r.again = &user, &again
	return r
}

// close ends what reads keys in the background.
func (r *keyring) close() { r.end() }

// token asks with one key after the other until a token comes, or a failure that
// another key does not mend. If no key does, the source is asked for newer ones.
func (r *keyring) token(ctx context.Context, ask func(context.Context, *Key) (*Token, error)) (*Token, error) {
	keys, err := r.keys(ctx, r.user)
	if err != nil {
		return nil, err
	}
	token, err := r.try(ctx, keys, ask)
	if err == nil || r.own || !isOfKey(err) {
		return token, err
	}
	again, failed := r.keys(ctx, r.again)
	newer := slices.DeleteFunc(slices.Clone(again), func(key *Key) bool {
		return key.isZero() || slices.ContainsFunc(keys, key.is)
	})
	if failed != nil || len(newer) == 0 {
		return nil, err // it tells more
	}
	return r.try(ctx, newer, ask)
}

// keys asks the source.
func (r *keyring) keys(ctx context.Context, user *keyUser) ([]*Key, error) {
	if r.own {
		return r.source.Keys(ctx)
	}
	known := contextWithKeyUser(ctx, user)
	keys, err := guard(ctx, user.guards, "the key source", func() ([]*Key, error) { return r.source.Keys(known) })
	switch {
	case err == nil && len(keys) == 0:
		err = errNoKeys
	case err != nil && ctx.Err() != nil:
		err = fmt.Errorf("it gave no key in time: %w", err)
	}
	if err != nil {
		return nil, r.failed(err)
	}
	return keys, nil
}

var (
	errNoKeys = errors.New("it gave no key")
	errNilKey = errors.New("it gave a key that is nil or zero")
)

// try asks with each of the keys. Its error is that of the first.
func (r *keyring) try(ctx context.Context, keys []*Key, ask func(context.Context, *Key) (*Token, error)) (*Token, error) {
	var first error
	for _, key := range r.order(keys) {
		token, err := ask(ctx, key)
		if err == nil {
			r.works(ctx, key, keys)
			return token, nil
		}
		first = cmp.Or(first, err)
		if !isOfKey(err) {
			return nil, err
		}
		r.refuse(key, err)
	}
	return nil, first
}

// isOfKey reports whether the next key may do better. Maskinporten may not know a new
// key yet, and a key may have expired or not sign.
func isOfKey(err error) bool {
	var failed *TokenError
	return errors.As(err, &failed) && failed.Step == stepKey || errors.Is(err, ErrUnknownKey) || errors.Is(err, ErrExpiredKey)
}

// failed is a failure of the program's own keys.
func (r *keyring) failed(err error) *TokenError {
	failed := &TokenError{Step: stepKey, ClientID: r.user.clientID, Err: err, Temporary: true}
	var unread *unreadError
	switch {
	case errors.As(err, &unread):
		failed.Hint, failed.Err = unread.cure, unread.err
	case !r.own:
		failed.Hint = "check what WithKeySource was given"
	}
	return failed
}

// order is the order in which the keys are tried. A refused key that is due keeps its
// place for this fetch only, so that no other one has to wait for a refusal.
func (r *keyring) order(keys []*Key) []*Key {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(keys) < 2 && len(r.refused) == 0 {
		return keys
	}
	now := r.clock()
	r.refused = slices.DeleteFunc(r.refused, func(known refusedKey) bool {
		return !slices.ContainsFunc(keys, known.key.is)
	})
	rank := make(map[*Key]int, len(keys))
	for _, key := range keys {
		known := r.known(key)
		switch {
		case key.expired(now.Time()):
			rank[key] = 2
		case known == nil:
		case known.again.Reached(now):
			known.again = now.Add(refusedPause)
		default:
			rank[key] = 1
		}
	}
	keys = slices.Clone(keys)
	slices.SortStableFunc(keys, func(a, b *Key) int { return rank[a] - rank[b] })
	return keys
}

// known is what is known of a key that was refused; nil of another one.
func (r *keyring) known(key *Key) *refusedKey {
	i := slices.IndexFunc(r.refused, func(known refusedKey) bool { return known.key.is(key) })
	if i < 0 {
		return nil
	}
	return &r.refused[i]
}

// refuse remembers a key that Maskinporten refused.
func (r *keyring) refuse(key *Key, err error) {
	var failed *TokenError
	if !errors.As(err, &failed) || failed.StatusCode == 0 {
		return // it was not asked: that cost nothing
	}
	again := r.clock().Add(refusedPause)
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.known(key)
	if known == nil {
		r.refused = append(r.refused, refusedKey{key: key})
		known = &r.refused[len(r.refused)-1]
	}
	known.why, known.again = failed.Err, again
}

// works notes that a token came by a key. The log tells once that it is used in the
// place of newer ones, and once that it is no longer refused itself.
func (r *keyring) works(ctx context.Context, key *Key, keys []*Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.refused) == 0 {
		return
	}
	client := slog.String("client_id", r.user.clientID)
	if known := r.known(key); known != nil {
		if known.told {
			r.user.log.tell(ctx, slog.LevelInfo, "Maskinporten accepts "+key.String()+" now: it is used", client)
		}
		r.refused = slices.DeleteFunc(r.refused, func(known refusedKey) bool { return known.key.is(key) })
	}
	for _, newer := range keys[:slices.IndexFunc(keys, key.is)] {
		known := r.known(newer)
		if known == nil || known.told {
			continue
		}
		known.told = true
		r.user.log.warn(ctx, known.cure()+": "+key.String()+" is used until Maskinporten accepts it", client)
	}
}

// cure is what to do about the key.
func (k *refusedKey) cure() string {
	if errors.Is(k.why, ErrExpiredKey) {
		return "register " + k.key.String() + " again, or replace it: its registration has ended"
	}
	return "register " + k.key.String() + " if this lasts longer than 2 minutes: it is not known yet"
}
