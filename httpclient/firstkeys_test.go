package httpclient_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

// Keys of the settings are the first ones of a source that reads keys again: they are
// checked at once, and no fetch waits for the first reading.
func TestSettingsHoldTheFirstKeys(t *testing.T) {
	t.Parallel()
	own, next := clientKey(t), maskinportentest.NewKey("next")
	parsed, err := httpclient.ParseJWK(next.EncodedJWK(), "")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t, withKey(own))
		defer srv.Close()
		reads := 0
		again := httpclient.ReloadingKeys(func(context.Context) ([]*httpclient.Key, error) {
			reads++
			return []*httpclient.Key{parsed}, nil
		}, time.Minute)
		var log logs
		source := sourceOf(t, srv, nil, httpclient.WithKeySource(again), httpclient.WithLogger(log.logger(0)))
		defer source.Close()
		signedBy := func(want string, reading int) {
			t.Helper()
			if _, err := source.Token(httpclient.ContextWithConsumerOrg(t.Context(), "889640782")); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if got := srv.Stats().LastAssertion.Header["kid"]; got != want || reads != reading {
				t.Errorf("got a signature by %v after %d readings, want by %s after %d", got, reads, want, reading)
			}
		}
		if status := source.Status(); status.Key == nil || status.Key.ID != own.KeyID {
			t.Errorf("got %+v, want the key of the settings", status.Key)
		}
		signedBy(own.KeyID, 0)
		srv.AddKey(srv.ClientID(), next)
		pass(time.Hour)
		signedBy(own.KeyID, 1) // the reading goes on beside it
		pass(time.Hour)
		signedBy("next", 2)
	})
}

// A key of the settings is checked, and no other source may be beside it.
func TestSettingsKeysBesideASource(t *testing.T) {
	t.Parallel()
	srv := newDouble(t)
	once := httpclient.KeySourceFunc(func(context.Context) ([]*httpclient.Key, error) { return nil, errors.New("not asked") })
	again := httpclient.ReloadingKeys(once, time.Minute)
	for name, c := range map[string]struct {
		changes map[string]any
		source  httpclient.KeySource
		want    string
	}{
		"another source":               {nil, once, "httpclient: EncodedJwk: a key source is given beside this key: keep one of them"},
		"a wrong key":                  {map[string]any{"EncodedJwk": "CANARY"}, again, "httpclient: EncodedJwk is base64, but not of JSON"},
		"two keys":                     {map[string]any{"EncodedX509": "AAAA"}, again, "httpclient: EncodedJwk and EncodedX509 each hold a key: keep one of them"},
		"no key, read again":           {map[string]any{"EncodedJwk": ""}, again, ""},
		"a vault's key, read again":    {map[string]any{"EncodedJwk": "", "KeyVaultKey": "my-key", "Kid": "mine"}, again, ""},
		"a vault's key":                {map[string]any{"EncodedJwk": "", "KeyVaultKey": "my-key", "Kid": "mine"}, once, ""},
		"a vault's key beside another": {map[string]any{"KeyVaultKey": "my-key"}, once, "httpclient: EncodedJwk: a key source"},
	} {
		var log logs
		_, err := httpclient.NewTokenSource(settingsOf(t, srv, c.changes), httpclient.WithKeySource(c.source), httpclient.WithLogger(log.logger(0)))
		if got := message(err); !strings.HasPrefix(got, c.want) || (got == "") != (c.want == "") || strings.Contains(got, "CANARY") || strings.Contains(log.String(), "level=WARN") {
			t.Errorf("%s: got %s and the log %s, want %s", name, got, log.String(), c.want)
		}
	}
}

// What only names a key is an error that says who signs with it.
func TestKeyVaultKeyNeedsASigner(t *testing.T) {
	t.Parallel()
	srv := newDouble(t)
	settings := settingsOf(t, srv, map[string]any{"EncodedJwk": "", "keyvaultkey": "my-key"})
	const want = "httpclient: keyvaultkey names a key that stays in its vault: give fxmodule.Module the option KeyVaultKey, or NewTokenSource the option WithKeySource with keys of package vaultkey"
	if got := message(settings.Validate()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// The setting whose key counts is that of the latest source.
func TestKeySetting(t *testing.T) {
	t.Parallel()
	order := map[string]int{"EncodedJwk": 1, "Jwk": 1, "jwkbase64": 3, "KeyVaultKey": 2, "EncodedX509": 2}
	for name, c := range map[string]struct {
		section map[string]any
		want    string
		from    int
	}{
		"none":                 {nil, "", 0},
		"one":                  {map[string]any{"EncodedJwk": "x"}, "EncodedJwk", 1},
		"of one source":        {map[string]any{"EncodedJwk": "x", "Jwk": "y"}, "EncodedJwk", 1},
		"a later source's":     {map[string]any{"EncodedJwk": "x", "KeyVaultKey": "y"}, "KeyVaultKey", 2},
		"by its other name":    {map[string]any{"jwkbase64": "x", "KeyVaultKey": "y"}, "EncodedJwk", 3},
		"before a vault's key": {map[string]any{"KeyVaultKey": "x", "EncodedX509": "y"}, "EncodedX509", 2},
	} {
		settings := httpclient.MaskinportenSettings{Origin: func(key string) httpclient.Origin { return httpclient.Origin{Order: order[key]} }}
		if err := settings.Parse(c.section); err != nil {
			t.Fatal(err)
		}
		if got, from := settings.KeySetting(); got != c.want || from.Order != c.from {
			t.Errorf("%s: got %q of order %d, want %q of %d", name, got, from.Order, c.want, c.from)
		}
	}
	if got, _ := (*httpclient.MaskinportenSettings)(nil).KeySetting(); got != "" {
		t.Errorf("nil: got %q, want none", got)
	}
}
