package provider

import (
	"context"
	"errors"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/portnokkel/portnokkel/provider/internal/azure"
)

// DefaultWatchEvery is how often [Vault.Watch] lists the vault when
// Config.WatchEvery is zero.
const DefaultWatchEvery = 5 * time.Minute

// Watch lists the vault now and then every [Config.WatchEvery], and calls callback with
// a [VaultEvent] when secrets have changed. Values are not read: a callback that wants
// them loads again, or reads [Vault.Versions]. It follows koanf's convention, and
// returns at once: what goes wrong later goes to the callback. A nil callback, and a
// second Watch before [Vault.Unwatch], are errors.
//
// The first listing is compared with the last load of this Vault, so that no change in
// between is missed. Without a load it is what later listings are compared with.
//
// Secrets, Sections and Filter of the Config say which secrets count. The identity
// needs the permission to list, even if Secrets names what to load.
//
// When the vault cannot be listed, callback gets an [*Error] and a nil event, once for
// each status and code until a listing works again. The watch goes on, and a log entry
// tells when it works. What has changed meanwhile is reported then.
//
// One call of callback is under way at a time, and the vault is not listed meanwhile:
// what changes is reported after it. A log entry tells of a callback that takes longer
// than WatchEvery. A panic in it goes to the log with its stack, and the watch goes on.
func (v *Vault) Watch(callback func(event any, err error)) error {
	switch {
	case v == nil || v.begin == nil:
		return errNoVault
	case callback == nil:
		return errors.New("provider: give Watch a callback - it is nil")
	}
	return v.watches().start(v.begin, callback)
}

// Unwatch ends the watch, if there is one, and cancels its request. After it callback is
// not called any more, and another Watch may begin. It does not wait for a call of
// callback that is under way, so that callback may call Unwatch.
func (v *Vault) Unwatch() error {
	if v == nil || v.begin == nil {
		return errNoVault
	}
	v.watches().stop()
	return nil
}

// watches is what a Vault knows for its watch, of which there is one at a time.
type watches struct {
	cfg    Config
	mu     sync.Mutex
	loaded snapshot // what the last load saw; nil before one
	cancel context.CancelFunc
	ended  chan struct{}
}

// load keeps what a load saw.
func (w *watches) load(seen snapshot) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.loaded = seen
}

func (w *watches) start(begin func() (*reading, error), callback func(event any, err error)) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cancel != nil {
		return errors.New("provider: call Unwatch before another Watch - the vault is being watched already")
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel, w.ended = cancel, make(chan struct{})
	begun := watch{begin: begin, cfg: w.cfg, callback: callback, known: w.loaded}
	go begun.run(ctx, w.ended)
	return nil
}

func (w *watches) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cancel == nil {
		return
	}
	w.cancel()
	<-w.ended
	w.cancel = nil
}

// watch is one watch of a vault. Only its own goroutine uses it.
type watch struct {
	begin    func() (*reading, error)
	cfg      Config
	callback func(event any, err error)

	known snapshot        // what was reported, or needs no report; nil at first
	told  map[outage]bool // what was reported since the last listing that worked
}

// outage is what two errors have in common if one report is enough.
type outage struct {
	step, code string
	status     int
}

func (w *watch) run(ctx context.Context, ended chan<- struct{}) {
	defer close(ended)
	for {
		w.round(ctx)
		timer := time.NewTimer(w.cfg.WatchEvery)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// round lists the vault once and tells what is new.
func (w *watch) round(ctx context.Context) {
	seen, failed := w.list(ctx)
	var event VaultEvent
	if failed == nil {
		event, failed = w.compare(ctx, seen)
	}
	switch {
	case ctx.Err() != nil:
	case failed != nil:
		w.fail(ctx, failed)
	default:
		w.worksAgain()
		w.known = seen
		if !event.isEmpty() {
			w.tell(ctx, event, nil)
		}
	}
}

// list is what the vault lists now.
func (w *watch) list(parent context.Context) (snapshot, *Error) {
	ctx, cancel := w.cfg.bounded(parent)
	defer cancel()
	r, err := w.begin()
	if err != nil {
		return nil, &Error{Vault: w.cfg.VaultURL, Step: azure.StepWatch, reason: "ClientOptions do not work any more", cause: err}
	}
	defer r.session.Close()
	seen := snapshot{}
	for page, err := range r.session.Pages(ctx) {
		if err != nil {
			return nil, r.explain(ctx, failure{step: azure.StepWatch, err: err})
		}
		for _, secret := range page {
			seen.note(secret)
		}
	}
	return seen, nil
}

// compare says what has changed. It calls the Filter.
func (w *watch) compare(ctx context.Context, seen snapshot) (VaultEvent, *Error) {
	if w.known == nil {
		return VaultEvent{}, nil
	}
	result := make(chan VaultEvent, 1)
	known := w.known
	if !w.call(ctx, "Config.Filter", func() { result <- known.changes(seen, w.cfg.reports) }) {
		return VaultEvent{}, &Error{
			Vault: w.cfg.VaultURL, Step: azure.StepWatch,
			reason: "Config.Filter panicked, or ended its goroutine", Hint: "look at the stack in the log",
		}
	}
	event := <-result
	event.Vault = w.cfg.VaultURL
	return event, nil
}

// fail tells of an error, once for each outage.
func (w *watch) fail(ctx context.Context, err *Error) {
	what := outage{err.Step, err.Code, err.StatusCode}
	if w.told[what] {
		w.cfg.logger().Debug("provider: the vault that is watched still cannot be listed", "vault", w.cfg.VaultURL, "error", err)
		return
	}
	if w.told == nil {
		w.told = map[outage]bool{}
	}
	w.told[what] = true
	w.tell(ctx, nil, err)
}

// worksAgain ends an outage.
func (w *watch) worksAgain() {
	if w.told != nil {
		w.told = nil
		w.cfg.logger().Info("provider: the vault that is watched is listed again", "vault", w.cfg.VaultURL)
	}
}

func (w *watch) tell(ctx context.Context, event any, err error) {
	w.call(ctx, "Watch's callback", func() { w.callback(event, err) })
}

// call calls code that is not this package's, and reports whether it returned. It waits
// until then, or until ctx ends.
func (w *watch) call(ctx context.Context, what string, f func()) bool {
	done := make(chan bool, 1)
	go func() {
		returned := false
		defer func() {
			if !returned {
				_ = recover() // its value may be a secret
				w.cfg.logger().Error("provider: "+what+" panicked, or ended its goroutine", "vault", w.cfg.VaultURL, "stack", string(debug.Stack()))
			}
			done <- returned
		}()
		f()
		returned = true
	}()
	slow := time.NewTimer(w.cfg.WatchEvery)
	defer slow.Stop()
	for {
		select {
		case returned := <-done:
			return returned
		case <-slow.C:
			w.cfg.logger().Warn("provider: "+what+" has not returned; the vault is not listed until it does",
				"vault", w.cfg.VaultURL, "after", w.cfg.WatchEvery)
		case <-ctx.Done():
			return false
		}
	}
}

// reports says whether a change of a listed secret is reported.
func (c Config) reports(name string) bool {
	if len(c.Secrets) > 0 {
		return slices.ContainsFunc(c.Secrets, func(s string) bool { return strings.EqualFold(s, name) })
	}
	return c.leavesOut(name) == ""
}
