package provider_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/provider"
)

func TestCallbackPanics(t *testing.T) {
	for name, fail := range map[string]func(){
		"a text":   func() { panic(canary) },
		"an error": func() { panic(errors.New(canary)) },
		"Goexit":   runtime.Goexit,
	} {
		t.Run(name, func(t *testing.T) {
			watching(t, nil, func(w *watched) {
				w.Set("A", "")
				var calls atomic.Int32
				if err := w.vault.Watch(func(any, error) { calls.Add(1); fail() }); err != nil {
					t.Fatal(err)
				}
				for n := range 3 {
					synctest.Wait()
					w.Set("A", "")
					w.wait(1)
					if int(calls.Load()) != n+1 {
						t.Fatalf("got %d calls, want %d: the watch goes on", calls.Load(), n+1)
					}
				}
				text := w.log.String()
				if n := strings.Count(text, "level=ERROR"); n != 3 || !strings.Contains(text, "watch_callback_test.go") {
					t.Errorf("got %d errors, want 3 with the stack: %s", n, text)
				}
				if strings.Contains(text, canary) {
					t.Errorf("got what it panicked with in the log: %s", text)
				}
			})
		})
	}
}

// A callback that takes long holds the watch up, which the log tells, and nothing is
// lost.
func TestCallbackTakesLong(t *testing.T) {
	watching(t, nil, func(w *watched) {
		w.Set("A", "")
		release := make(chan struct{})
		if err := w.vault.Watch(func(event any, err error) { w.callback(event, err); <-release }); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		w.Set("A", "")
		w.wait(1)
		w.want("changed A")
		lists := w.Stats().Lists
		w.Set("B", "")
		w.wait(4)
		w.want()
		if got := w.Stats().Lists; got != lists {
			t.Errorf("got %d listings meanwhile, want none", got-lists)
		}
		if n := strings.Count(w.log.String(), "Watch's callback has not returned"); n != 1 {
			t.Errorf("got %d warnings, want 1: %s", n, w.log.String())
		}
		close(release)
		w.wait(1)
		w.want("added B")
	})
}

func TestUnwatchDoesNotWaitForTheCallback(t *testing.T) {
	watching(t, nil, func(w *watched) {
		release := make(chan struct{})
		defer close(release)
		if err := w.vault.Watch(func(event any, err error) { w.callback(event, err); <-release }); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		w.Set("A", "")
		w.wait(1)
		start := time.Now()
		if err := w.vault.Unwatch(); err != nil || time.Since(start) != 0 {
			t.Errorf("got %v after %v, want no wait", err, time.Since(start))
		}
		w.want("added A")
		w.start() // while that call is still under way
		w.Set("B", "")
		w.wait(1)
		w.want("added B")
	})
}

func TestUnwatchInTheCallback(t *testing.T) {
	watching(t, nil, func(w *watched) {
		var calls atomic.Int32
		if err := w.vault.Watch(func(any, error) {
			calls.Add(1)
			if err := w.vault.Unwatch(); err != nil {
				t.Error(err)
			}
		}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for i := range 3 {
			w.Set(fmt.Sprint("A", i), "")
			w.wait(1)
		}
		if calls.Load() != 1 || w.Stats().Lists != 2 {
			t.Errorf("got %d calls and %d listings, want 1 and 2", calls.Load(), w.Stats().Lists)
		}
	})
}

// Unwatch ends a listing that is under way, and its error is nobody's.
func TestUnwatchEndsAListing(t *testing.T) {
	watching(t, nil, func(w *watched) {
		w.Faults.Add(faulttest.Fault{Hang: true, Times: -1, Match: isList})
		w.start()
		start := time.Now()
		if err := w.vault.Unwatch(); err != nil || time.Since(start) != 0 {
			t.Errorf("got %v after %v, want no wait", err, time.Since(start))
		}
		asked := w.Faults.Hits()
		w.wait(3)
		w.want()
		if got := w.Faults.Hits(); got != asked || asked == 0 {
			t.Errorf("got %d requests, of them %d after Unwatch, want none", got, got-asked)
		}
		w.Faults.Clear()
		w.start()
		w.Set("A", "")
		w.wait(1)
		w.want("added A")
	})
}

// After Unwatch nothing of the watch goes on: a log entry that is being written is
// waited for.
func TestUnwatchWaitsForTheWatch(t *testing.T) {
	var hold atomic.Bool
	var entered, release chan struct{}
	watching(t, func(cfg *provider.Config) {
		cfg.Logger = slog.New(slog.NewTextHandler(writerFunc(func() {
			if hold.Swap(false) {
				close(entered)
				<-release
			}
		}), nil))
	}, func(w *watched) {
		entered, release = make(chan struct{}), make(chan struct{}) // of the bubble
		w.Faults.Add(faulttest.Fault{Status: http.StatusForbidden, Body: "{}", Match: isList})
		w.start()
		w.want("error")
		hold.Store(true) // it is listed again
		w.wait(1)
		<-entered
		ended := make(chan error, 1)
		go func() { ended <- w.vault.Unwatch() }()
		synctest.Wait()
		select {
		case err := <-ended:
			t.Errorf("got %v while the watch is at work, want Unwatch to wait", err)
		default:
		}
		close(release)
		synctest.Wait()
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		default:
			t.Error("Unwatch has not returned")
		}
	})
}

// writerFunc is called for what is written.
type writerFunc func()

func (f writerFunc) Write(p []byte) (int, error) {
	f()
	return len(p), nil
}

func TestOneWatchAtATime(t *testing.T) {
	watching(t, nil, func(w *watched) {
		if err := w.vault.Unwatch(); err != nil {
			t.Errorf("without a watch: got %v, want no error", err)
		}
		if err := w.vault.Watch(nil); err == nil || !strings.Contains(err.Error(), "callback") {
			t.Errorf("got %v, want an error about the callback", err)
		}
		w.start()
		if err := w.vault.Watch(w.callback); err == nil || !strings.Contains(err.Error(), "call Unwatch") {
			t.Errorf("got %v, want an error about Unwatch", err)
		}
		w.wait(1)
		if got := w.Stats().Lists; got != 2 {
			t.Errorf("got %d listings, want 2", got)
		}
		for _, vault := range []*provider.Vault{nil, {}} {
			for _, err := range []error{vault.Watch(w.callback), vault.Unwatch()} {
				if err == nil || !strings.Contains(err.Error(), "make the Vault with KeyVault") {
					t.Errorf("got %v, want an error that says how to make a Vault", err)
				}
			}
		}
	})
}

func TestWatchFilterPanics(t *testing.T) {
	var broken atomic.Bool
	watching(t, func(cfg *provider.Config) {
		cfg.Filter = func(string) bool {
			if broken.Load() {
				panic(canary)
			}
			return true
		}
	}, func(w *watched) {
		w.Set("A", "")
		w.start()
		broken.Store(true)
		w.Set("A", "")
		w.wait(2)
		w.want("error")
		if text := w.errs[0].Error(); !strings.Contains(text, "Config.Filter panicked") || strings.Contains(text, canary) {
			t.Errorf("got %q, want it to name the Filter", text)
		}
		if !strings.Contains(w.log.String(), "watch_callback_test.go") || strings.Contains(w.log.String(), canary) {
			t.Errorf("got %s, want the stack and no value", w.log.String())
		}
		broken.Store(false)
		w.wait(1)
		w.want("changed A")
	})
}

// Loads, watches and their ends at once: the race detector is what fails here.
func TestWatchConcurrently(t *testing.T) {
	watching(t, nil, func(w *watched) {
		w.Set("A", "")
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 5 {
					if err := w.vault.Watch(w.callback); err != nil && !strings.Contains(err.Error(), "Unwatch") {
						t.Error(err)
					}
					if _, err := w.vault.Read(); err != nil {
						t.Error(err)
					}
					if err := w.vault.Unwatch(); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if slices.Contains(w.calls, "error") {
			t.Errorf("got %v, want no error", w.errs)
		}
	})
}
