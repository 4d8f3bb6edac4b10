package httpclient_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"

	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
	"github.com/portnokkel/portnokkel/provider"
	"github.com/portnokkel/portnokkel/provider/vaultkey"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

// place is where a service's keys are kept, and who replaces them there.
type place struct {
	read func(context.Context) ([]*httpclient.Key, error)
	add  func() // the newer key, besides the older one
	drop func() // the older key
}

// timeline is when the steps of a rotation are taken, from its start.
type timeline struct {
	add      time.Duration // the newer key is in its place
	register time.Duration // the newer key is registered at Maskinporten,
	known    time.Duration // which knows it this long after that
	forget   time.Duration // Maskinporten forgets the older key
	drop     time.Duration // the older key leaves its place
	end      time.Duration
}

// rotation is one under load.
type rotation struct {
	srv          *maskinportentest.Server
	older, newer maskinportentest.Key
	api          http.RoundTripper
	place        place
	every        time.Duration
	at           timeline
	crowd        bool // one request in fifty is for a customer of its own, whose token is fetched

	requests, failed, readings atomic.Int64
}

// tick is how often requests are sent, and perTick how many: 200 a second.
const (
	tick    = 50 * time.Millisecond
	perTick = 10
)

// run plays it with 200 requests a second, for the settings' own token and for those of
// three customers. No request may fail.
func (r *rotation) run(t *testing.T) {
	var log logs
	notes := &ring{t: t, srv: r.srv}
	source := withoutKey(t, r.srv, httpclient.ReloadingKeys(func(ctx context.Context) ([]*httpclient.Key, error) {
		r.readings.Add(1)
		return r.place.read(ctx)
	}, r.every), httpclient.WithTokenTransport(notes), httpclient.WithBaseTransport(r.api), httpclient.WithLogger(log.logger(0)))
	defer source.Close()
	client := source.Client()

	steps := []struct {
		at time.Duration
		do func()
	}{
		{r.at.add, r.place.add},
		{r.at.register, func() { r.srv.AddKeyAfter(r.srv.ClientID(), r.newer, r.at.known) }},
		{r.at.forget, func() { r.srv.RemoveKey(r.srv.ClientID(), r.older.KeyID) }},
		{r.at.drop, r.place.drop},
	}
	slices.SortStableFunc(steps, func(a, b struct {
		at time.Duration
		do func()
	},
	) int {
		return int(a.at - b.at)
	})
	start := time.Now()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	var callers sync.WaitGroup
	sent := 0
	for time.Since(start) < r.at.end {
		for len(steps) > 0 && time.Since(start) >= steps[0].at {
			steps[0].do()
			steps = steps[1:]
		}
		for i := range perTick {
			number := i % 4
			if r.crowd && sent%50 == 0 {
				number = 4 + sent
			}
			sent++
			callers.Go(func() { r.request(t, client, number, time.Since(start)) })
		}
		<-ticker.C
	}
	callers.Wait()

	refused := 0
	for _, refusal := range r.srv.Refusals() {
		switch {
		case strings.HasSuffix(refusal, "Unknown key identifier (kid) for client"):
			refused++
		default:
			t.Errorf("got the refusal %s, want only unknown keys refused", refusal)
		}
	}
	t.Logf("%d requests, %d failed; %d token requests, %d refused; %d readings", r.requests.Load(), r.failed.Load(),
		r.srv.Stats().TokenRequests, refused, r.readings.Load())
	kids := notes.take()
	if i := slices.Index(kids, r.newer.KeyID); len(kids) == 0 || kids[0] != r.older.KeyID || i < 0 || kids[len(kids)-1] != r.newer.KeyID {
		t.Errorf("got token requests with %q, want them to go over from the older to the newer key", kids)
	}
	if refused > 20 || refused == 0 {
		t.Errorf("got %d refusals, want some, and few", refused)
	}
}

// inProcess is an API that wants the double's tokens, without a connection to it: a
// request through a pipe takes five times as long.
func inProcess(srv *maskinportentest.Server) http.RoundTripper {
	api := srv.RequireToken(http.HandlerFunc(echo), scope)
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.Body == nil {
			r.Body = http.NoBody
		}
		answer := httptest.NewRecorder()
		api.ServeHTTP(answer, r)
		return answer.Result(), nil
	})
}

// request sends one to the API, for a customer or, if that is 0, for nobody.
func (r *rotation) request(t *testing.T, client *http.Client, number int, after time.Duration) {
	ctx := t.Context()
	if number > 0 {
		ctx = customer(t, number)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.srv.PlatformURL()+"/api", nil)
	if err != nil {
		t.Error(err)
		return
	}
	r.requests.Add(1)
	resp, err := client.Do(req)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %s", resp.Status)
	}
	if err != nil {
		r.failed.Add(1)
		t.Errorf("after %v: got %v, want an answer", after, err)
		return
	}
	resp.Body.Close()
}

// inFile keeps the keys in a file that Kubernetes mounts.
func (r *rotation) inFile(m *mount) {
	text := func(keys ...maskinportentest.Key) string { return jwksFile(m.t, r.srv.ClientID(), keys...) }
	m.replace(text(r.older))
	r.place = place{
		read: httpclient.KeysFromSettings(m.read),
		add:  func() { m.replace(text(r.newer, r.older)) },
		drop: func() { m.replace(text(r.newer)) },
	}
}

// inVault keeps the keys in a vault's secret.
func (r *rotation) inVault(t *testing.T, srv *vaulttest.Server) {
	const name = "MaskinportenSettings--EncodedJwk"
	srv.Set(name, r.older.EncodedJWK())
	cred, err := srv.Credential()
	if err != nil {
		t.Fatal(err)
	}
	vault, err := provider.KeyVault(provider.Config{VaultURL: srv.VaultURL(), Credential: cred.GetToken, ClientOptions: srv.ClientOptions()})
	if err != nil {
		t.Fatal(err)
	}
	r.place = place{
		read: func(ctx context.Context) (keys []*httpclient.Key, err error) {
			versions, err := vault.Versions(ctx, name, 2)
			for _, version := range versions {
				key, err := httpclient.ParseJWK(version.Value(), "")
				if err != nil {
					return nil, err
				}
				keys = append(keys, key)
			}
			return keys, err
		},
		add:  func() { srv.Set(name, r.newer.EncodedJWK()) },
		drop: func() {}, // it stays the previous version
	}
}

// asVaultKey keeps the keys in a vault, which signs with them.
func (r *rotation) asVaultKey(t *testing.T, srv *vaulttest.Server) {
	const name = "maskinporten"
	older := srv.CreateKey(vaulttest.Key{Name: name, Private: r.older.Signer()})
	r.older.KeyID = name + "." + older
	cred, err := srv.Credential()
	if err != nil {
		t.Fatal(err)
	}
	source, err := vaultkey.Open(vaultkey.Config{
		Key: name, VaultURL: srv.VaultURL(), Credential: cred.GetToken, ClientOptions: azkeys.ClientOptions(srv.ClientOptions()),
	})
	if err != nil {
		t.Fatal(err)
	}
	r.place = place{
		read: func(ctx context.Context) ([]*httpclient.Key, error) {
			return vaultkey.Keys(ctx, source, 2, httpclient.NewKey)
		},
		add: func() {
			r.newer.KeyID = name + "." + srv.CreateKey(vaulttest.Key{Name: name, Private: r.newer.Signer()})
		},
		drop: func() { srv.DisableKey(name, older) },
	}
}

// A key is replaced while 200 requests a second are made, in simulated time. The service
// has the newer key before Maskinporten knows it. Maskinporten forgets the older one
// while the service still has both. No request fails.
func TestRotationUnderLoad(t *testing.T) {
	t.Parallel()
	older, newer := clientKey(t), newerKey(t)
	m := newMount(t, "")
	for name, c := range map[string]struct {
		every time.Duration
		keep  func(*testing.T, *rotation, *vaulttest.Server)
	}{
		"file":         {0, func(_ *testing.T, r *rotation, _ *vaulttest.Server) { r.inFile(m) }},
		"vault":        {5 * time.Minute, func(t *testing.T, r *rotation, srv *vaulttest.Server) { r.inVault(t, srv) }},
		"vault's keys": {time.Minute, func(t *testing.T, r *rotation, srv *vaulttest.Server) { r.asVaultKey(t, srv) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				vault := vaulttest.NewPipe()
				defer vault.Close()
				r := &rotation{older: older, newer: newer, every: c.every, at: timeline{
					add: 30 * time.Second, register: 90 * time.Second, known: 2 * time.Minute,
					forget: 270 * time.Second, drop: 5 * time.Minute, end: 6 * time.Minute,
				}}
				r.srv = newPipe(t, builtIn, maskinportentest.WithTokenLifetime(20*time.Second), maskinportentest.WithKey(older))
				defer r.srv.Close()
				r.api = inProcess(r.srv)
				c.keep(t, r, vault)
				r.srv.AddKey(r.srv.ClientID(), r.older)
				r.run(t)
			})
		})
	}
}

// The same over sockets and TLS, in the time of this machine. Its tokens live longer than
// the test, so that a busy machine ends none. New customers have tokens fetched.
func TestRotationOverSockets(t *testing.T) {
	t.Parallel()
	if os.Getenv("SOAK") == "" {
		t.Skip("SOAK is not set to a duration: this takes its time from the machine's clock")
	}
	older, newer := clientKey(t), newerKey(t)
	for name, keep := range map[string]func(*testing.T, *rotation, *vaulttest.Server){
		"file":  func(t *testing.T, r *rotation, _ *vaulttest.Server) { r.inFile(newMount(t, "")) },
		"vault": func(t *testing.T, r *rotation, srv *vaulttest.Server) { r.inVault(t, srv) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			vault := vaulttest.NewServer()
			defer vault.Close()
			r := &rotation{older: older, newer: newer, every: 300 * time.Millisecond, crowd: true, at: timeline{
				add: time.Second, register: 2 * time.Second, known: time.Second,
				forget: 4 * time.Second, drop: 5 * time.Second, end: 6 * time.Second,
			}}
			r.srv = newDouble(t, maskinportentest.WithKey(older))
			r.api = r.srv.Transport()
			keep(t, r, vault)
			r.srv.AddKey(r.srv.ClientID(), r.older)
			r.run(t)
		})
	}
}
