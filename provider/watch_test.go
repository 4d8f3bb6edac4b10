package provider_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/internal/logtest"
	"github.com/portnokkel/portnokkel/provider"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

// watched is a watch of a vault in memory, with the fake clock of a synctest bubble.
type watched struct {
	*vaulttest.Server
	t     *testing.T
	vault *provider.Vault
	log   *logtest.Buffer

	mu    sync.Mutex
	calls []string // what the callback got
	errs  []error
}

func newWatched(t *testing.T, change func(*provider.Config), options ...vaulttest.Option) *watched {
	t.Helper()
	w := &watched{Server: vaulttest.NewPipe(options...), t: t, log: new(logtest.Buffer)}
	cfg := kvConfig(t, w.Server)
	cfg.Logger = w.log.Logger()
	if change != nil {
		change(&cfg)
	}
	w.vault = kvVault(t, cfg)
	return w
}

func (w *watched) callback(event any, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		var e *provider.Error
		if event != nil || !errors.As(err, &e) {
			w.t.Errorf("got the event %v with the error %v, want an *Error only", event, err)
		}
		w.calls, w.errs = append(w.calls, "error"), append(w.errs, err)
		return
	}
	changes, _ := strings.CutPrefix(event.(provider.VaultEvent).String(), w.VaultURL()+": ")
	w.calls = append(w.calls, changes)
}

func (w *watched) start() {
	w.t.Helper()
	if err := w.vault.Watch(w.callback); err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait()
}

// pass lets time pass on the bubble's clock.
func pass(d time.Duration) { <-time.After(d) }

// Set stores a secret a second later than the last: a vault counts time in seconds.
func (w *watched) Set(name, value string) {
	pass(time.Second)
	w.Server.Set(name, value)
}

// wait lets periods pass, each a little later so that the listing is over.
func (w *watched) wait(periods int) {
	pass(time.Duration(periods)*provider.DefaultWatchEvery + time.Second)
	synctest.Wait()
}

func (w *watched) want(calls ...string) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if diff := cmp.Diff(calls, w.calls); diff != "" {
		w.t.Errorf("calls (-want +got):\n%s", diff)
	}
	w.calls = nil
}

func (w *watched) end() {
	w.t.Helper()
	if err := w.vault.Unwatch(); err != nil {
		w.t.Errorf("Unwatch: got %v, want no error", err)
	}
	w.Close()
}

// watching runs a test in a bubble, which fails if a goroutine is left.
func watching(t *testing.T, change func(*provider.Config), test func(w *watched), options ...vaulttest.Option) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWatched(t, change, options...)
		test(w)
		w.end()
	})
}

func TestWatch(t *testing.T) {
	watching(t, nil, func(w *watched) {
		for _, name := range []string{"Same", "Changes", "Goes", "Off"} {
			w.Set(name, canary)
		}
		w.SetSecret(vaulttest.Secret{Name: "On", Value: canary, Disabled: true})
		w.start()
		w.wait(3)
		w.want()
		w.Set("Changes", canary+"2")
		w.Set("New", canary)
		w.SetSecret(vaulttest.Secret{Name: "NewButOff", Value: canary, Disabled: true})
		w.Delete("Goes")
		w.Set("On", canary)
		w.SetSecret(vaulttest.Secret{Name: "Off", Value: canary, Disabled: true})
		w.wait(1)
		w.want("added New, NewButOff; changed Changes; removed Goes; enabled On; disabled Off")
		w.wait(3)
		w.want()
		w.Set("changes", canary+"3")
		w.Delete("NewButOff")
		w.wait(1)
		w.want("changed Changes; removed NewButOff")
		if stats := w.Stats(); stats.Gets+stats.VersionLists != 0 {
			t.Errorf("got %+v, want no secret read", stats)
		}
		if strings.Contains(w.log.String(), canary) {
			t.Errorf("got a value in the log: %s", w.log.String())
		}
	})
}

// One listing a period, and a token as often as the credential needs a new one.
func TestWatchListsOnceAPeriod(t *testing.T) {
	for _, every := range []time.Duration{0, 10 * time.Second, time.Hour} {
		t.Run(every.String(), func(t *testing.T) {
			watching(t, func(cfg *provider.Config) { cfg.WatchEvery = every }, func(w *watched) {
				for i := range 30 {
					w.Set(fmt.Sprint("Key", i), "")
				}
				period := every
				if period == 0 {
					period = 5 * time.Minute
				}
				w.start()
				for n := range 10 {
					if got := w.Stats().Lists; got != 2*(n+1) {
						t.Fatalf("after %v: got %d pages listed, want %d", time.Duration(n)*period, got, 2*(n+1))
					}
					pass(period - 1)
					synctest.Wait()
					if got := w.Stats().Lists; got != 2*(n+1) {
						t.Fatalf("before %v: got %d pages listed, want %d", time.Duration(n+1)*period, got, 2*(n+1))
					}
					pass(1)
					synctest.Wait()
				}
				most := 1 + int(10*period/(50*time.Minute))
				if got := w.Stats().Tokens; got < 1 || got > most {
					t.Errorf("got %d tokens in %v, want at most %d", got, 10*period, most)
				}
				w.want()
			})
		})
	}
}

// What changes between a load and the watch is reported.
func TestWatchReportsChangesSinceTheLoad(t *testing.T) {
	for name, secrets := range map[string][]string{"listed": nil, "named": {"a", "B", "C"}} {
		t.Run(name, func(t *testing.T) {
			watching(t, func(cfg *provider.Config) { cfg.Secrets = secrets }, func(w *watched) {
				for _, name := range []string{"A", "B", "C"} {
					w.Set(name, "")
				}
				if _, err := w.vault.Read(); err != nil {
					t.Fatal(err)
				}
				w.start()
				w.want()
				if err := w.vault.Unwatch(); err != nil {
					t.Error(err)
				}
				w.Set("A", "")
				w.Delete("B")
				w.start()
				w.want("changed A; removed B")
				w.wait(2)
				w.want()
			})
		})
	}
}

func TestWhatIsWatched(t *testing.T) {
	for name, change := range map[string]func(cfg *provider.Config){
		"secrets":  func(cfg *provider.Config) { cfg.Secrets = []string{"s--a", "S--Off"} },
		"sections": func(cfg *provider.Config) { cfg.Sections = []string{"s"} },
		"filter": func(cfg *provider.Config) {
			cfg.Filter = func(name string) bool { return strings.HasPrefix(name, "S--") }
		},
	} {
		t.Run(name, func(t *testing.T) {
			watching(t, change, func(w *watched) {
				w.Set("S--A", "")
				w.Set("S--Off", "")
				w.Set("Other", "")
				w.start()
				w.SetSecret(vaulttest.Secret{Name: "S--Off", Disabled: true})
				w.Set("Other", "")
				w.Set("Another", "")
				w.wait(1)
				w.want("disabled S--Off")
				w.Delete("Other")
				w.Delete("S--A")
				w.wait(1)
				w.want("removed S--A")
			})
		})
	}
}

func isList(r *http.Request) bool { return strings.TrimSuffix(r.URL.Path, "/") == "/secrets" }

// An outage is reported once for each of its codes, and what changed meanwhile when it
// is over.
func TestWatchOutage(t *testing.T) {
	watching(t, nil, func(w *watched) {
		refuse := func(status int, code string) {
			w.Faults.Clear()
			w.Faults.Add(faulttest.Fault{Status: status, Body: `{"error":{"code":"` + code + `"}}`, Times: -1, Match: isList})
		}
		w.Set("A", "")
		w.start()
		refuse(http.StatusForbidden, "Forbidden")
		w.wait(3)
		w.want("error")
		refuse(http.StatusNotFound, "Gone")
		w.wait(3)
		w.want("error")
		refuse(http.StatusForbidden, "Forbidden")
		w.Set("A", "new")
		w.wait(3)
		w.want()
		if strings.Contains(w.log.String(), "listed again") {
			t.Errorf("got %s, want no word of a listing that works", w.log.String())
		}
		w.Faults.Clear()
		w.wait(3)
		w.want("changed A")
		if n := strings.Count(w.log.String(), "level=INFO msg=\"provider: the vault that is watched is listed again\""); n != 1 {
			t.Errorf("got %d log entries that it works again, want 1: %s", n, w.log.String())
		}
		refuse(http.StatusForbidden, "Forbidden")
		w.wait(2)
		w.want("error")
		for _, err := range w.errs {
			var e *provider.Error
			if !errors.As(err, &e) || e.Step != "watch" || e.Vault != w.VaultURL() || e.StatusCode == 0 {
				t.Errorf("got %#v, want the step, the vault and the status", err)
			}
		}
	})
}

// A watch that begins in an outage has nothing to compare with until it is over.
func TestWatchBeginsInAnOutage(t *testing.T) {
	watching(t, nil, func(w *watched) {
		w.Faults.Add(faulttest.Fault{Status: http.StatusForbidden, Body: "{}", Times: 2, Match: isList})
		w.start()
		w.want("error")
		w.Set("A", "")
		w.wait(2)
		w.want()
		w.Set("B", "")
		w.wait(1)
		w.want("added B")
	})
}

func TestWatchWithoutPermissionToList(t *testing.T) {
	watching(t, func(cfg *provider.Config) { cfg.Secrets = []string{"A"} }, func(w *watched) {
		w.Set("A", "")
		w.start()
		w.wait(2)
		w.want("error")
		text := w.errs[0].Error()
		for _, part := range []string{"403", "ForbiddenByRbac", "Key Vault Secrets User", "Watch lists the vault, even if Secrets names what to load"} {
			if !strings.Contains(text, part) {
				t.Errorf("got %q, want %q in it", text, part)
			}
		}
	}, vaulttest.WithoutList())
}

func TestWatchIsThrottled(t *testing.T) {
	watching(t, nil, func(w *watched) {
		w.Faults.Add(faulttest.Fault{Status: http.StatusTooManyRequests, Body: "{}", Times: -1, Match: isList})
		w.start()
		w.wait(1)
		w.want("error")
		if text := w.errs[0].Error(); !strings.Contains(text, "raise WatchEvery") {
			t.Errorf("got %q, want it to say what to do", text)
		}
	})
}

// A vault that never answers holds a listing up for Timeout only.
func TestWatchOfASilentVault(t *testing.T) {
	watching(t, nil, func(w *watched) {
		w.Set("A", "")
		w.start()
		w.Faults.Add(faulttest.Fault{Hang: true, Match: isList})
		w.wait(1)
		w.want()
		pass(provider.DefaultTimeout)
		w.want("error")
		if text := w.errs[0].Error(); !strings.Contains(text, "Timeout of 30s") {
			t.Errorf("got %q, want the Timeout in it", text)
		}
		w.Set("A", "new")
		w.wait(1)
		w.want("changed A")
	})
}

func TestWatchEvery(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer()
	defer srv.Close()
	for every, works := range map[time.Duration]bool{0: true, 10 * time.Second: true, 10*time.Second - 1: false, 1: false, -time.Hour: false} {
		cfg := kvConfig(t, srv)
		cfg.WatchEvery = every
		_, err := provider.KeyVault(cfg)
		if (err == nil) != works || err != nil && !strings.Contains(err.Error(), "provider: WatchEvery: set 10s or more") {
			t.Errorf("%v: got %v, want an error: %v", every, err, !works)
		}
	}
	_, err := provider.ConnectToKeyVault(t.Context(), newKoanf(t, tree{}, ":"), provider.ConnectConfig{Config: provider.Config{WatchEvery: time.Hour}})
	if err == nil || !strings.Contains(err.Error(), "WatchEvery: leave it zero") {
		t.Errorf("got %v, want an error about WatchEvery", err)
	}
}

func TestVaultEventString(t *testing.T) {
	t.Parallel()
	for want, event := range map[string]provider.VaultEvent{
		"key vault: no secret has changed": {},
		"https://v.vault.azure.net: added A; changed B, C; removed D; enabled E; disabled F": {
			Vault: "https://v.vault.azure.net", Added: []string{"A"}, Changed: []string{"B", "C"}, Removed: []string{"D"},
			Enabled: []string{"E"}, Disabled: []string{"F"},
		},
	} {
		if got := event.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
