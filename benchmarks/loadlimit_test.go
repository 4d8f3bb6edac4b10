package benchmarks

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
)

// loadAtTheLimit is the least that has to happen one after the other: the
// challenge, Entra's two answers, the listing's pages and the last secret, or for
// exact names no listing. It reads no other secret: as if all of them came
// meanwhile, at no cost.
func loadAtTheLimit(ctx context.Context, at vault, names []string) (map[string]string, error) {
	return loadInARow(ctx, at, names, 1)
}

// loadAtTheLimitOf32 is the same for exact names where no more than 32 requests may
// be under way at once: it reads one secret for each 32, one after the other.
func loadAtTheLimitOf32(ctx context.Context, at vault, names []string) (map[string]string, error) {
	return loadInARow(ctx, at, names, (len(names)+concurrency-1)/concurrency)
}

// loadByHand reads the names with net/http alone, as many at once as this project
// may, for what so many answers take this machine.
func loadByHand(ctx context.Context, at vault, names []string) (map[string]string, error) {
	l := limitLoad{ctx: ctx, client: &http.Client{Transport: at.transport}}
	l.authenticate(at, secretURL(at, names[0]))
	var (
		mu    sync.Mutex
		wg    sync.WaitGroup
		got   = make(map[string]string, len(names))
		first = l // as it was when all of them began
		slots = make(chan struct{}, at.concurrency)
	)
	for _, name := range names {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			own := first
			var secret struct {
				Value string `json:"value"`
			}
			own.send(http.MethodGet, secretURL(at, name), nil, &secret)
			mu.Lock()
			defer mu.Unlock()
			got[name] = secret.Value
			if own.err != nil {
				l.err = own.err
			}
		})
	}
	wg.Wait()
	return got, l.err
}

const version = "?api-version=7.6"

func secretURL(at vault, name string) string { return at.VaultURL() + "/secrets/" + name + version }

// loadInARow reads the last secret so many times.
func loadInARow(ctx context.Context, at vault, names []string, times int) (map[string]string, error) {
	l := limitLoad{ctx: ctx, client: &http.Client{Transport: at.transport}}
	first := at.VaultURL() + "/secrets" + version
	if names != nil {
		first = secretURL(at, names[len(names)-1])
	}
	l.authenticate(at, first)

	last := strings.TrimSuffix(first, version)
	for next := first; names == nil && next != "" && l.err == nil; {
		var page struct {
			Value []struct {
				ID string `json:"id"`
			} `json:"value"`
			NextLink string `json:"nextLink"`
		}
		l.send(http.MethodGet, next, nil, &page)
		next = page.NextLink
		if n := len(page.Value); n > 0 {
			last = page.Value[n-1].ID
		}
	}
	var secret struct {
		Value string `json:"value"`
	}
	for range times {
		l.send(http.MethodGet, last+version, nil, &secret)
	}
	return map[string]string{last[strings.LastIndex(last, "/")+1:]: secret.Value}, l.err
}

// authenticate gets the challenge of the first address, and the token that it asks for.
func (l *limitLoad) authenticate(at vault, first string) {
	l.send(http.MethodGet, first, nil, nil)

	var endpoints struct {
		Token string `json:"token_endpoint"`
	}
	l.send(http.MethodGet, at.AuthorityURL()+"/"+at.TenantID()+"/v2.0/.well-known/openid-configuration", nil, &endpoints)
	var granted struct {
		AccessToken string `json:"access_token"`
	}
	l.send(http.MethodPost, endpoints.Token, url.Values{
		"grant_type": {"client_credentials"}, "client_id": {at.ClientID()},
		"client_secret": {at.ClientSecret()}, "scope": {"https://vault.azure.net/.default"},
	}, &granted)
	l.bearer = granted.AccessToken
}

// limitLoad sends one request after the other, until one fails.
type limitLoad struct {
	ctx    context.Context //nolint:containedctx // it lives for one call
	client *http.Client
	bearer string
	err    error
}

func (l *limitLoad) send(method, target string, form url.Values, answer any) {
	if l.err != nil {
		return
	}
	req, err := http.NewRequestWithContext(l.ctx, method, target, strings.NewReader(form.Encode()))
	if err != nil {
		l.err = err
		return
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if l.bearer != "" {
		req.Header.Set("Authorization", "Bearer "+l.bearer)
	}
	resp, err := l.client.Do(req)
	if err != nil {
		l.err = err
		return
	}
	defer resp.Body.Close()
	if answer == nil {
		answer = &struct{}{}
	} else if resp.StatusCode != http.StatusOK {
		l.err = fmt.Errorf("%s answered %s", req.URL.Path, resp.Status)
		return
	}
	l.err = json.NewDecoder(resp.Body).Decode(answer)
}
