package vaultkey_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/internal/logtest"
	"github.com/portnokkel/portnokkel/provider/vaultkey"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

func versionsOf(keys []*vaultkey.Key) (versions []string) {
	for _, key := range keys {
		versions = append(versions, key.Version())
	}
	return versions
}

// The newest versions come first, without those that cannot be used, by their time of
// creation: ids are random, and listings are sorted by id.
func TestNewest(t *testing.T) {
	t.Parallel()
	now := time.Now()
	const day = 24 * time.Hour
	ec, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	small := vaulttest.Key{Private: firstKey(), Operations: []string{"encrypt"}}
	age := func(days int) time.Time { return now.Add(-time.Duration(days) * day) }
	for name, c := range map[string]struct {
		versions []vaulttest.Key // made in this order
		n        int
		want     []int
	}{
		"one":             {[]vaulttest.Key{{Created: age(1)}}, 2, []int{0}},
		"the newest":      {[]vaulttest.Key{{Created: age(3)}, {Created: age(1)}, {Created: age(2)}}, 1, []int{1}},
		"two of three":    {[]vaulttest.Key{{Created: age(3)}, {Created: age(1)}, {Created: age(2)}}, 2, []int{1, 2}},
		"all":             {[]vaulttest.Key{{Created: age(3)}, {Created: age(1)}, {Created: age(2)}}, 9, []int{1, 2, 0}},
		"newest disabled": {[]vaulttest.Key{{Created: age(3)}, {Created: age(2)}, {Created: age(1), Disabled: true}}, 2, []int{1, 0}},
		"newest expired":  {[]vaulttest.Key{{Created: age(2)}, {Created: age(1), Expires: now.Add(-time.Hour)}}, 2, []int{0}},
		"newest coming":   {[]vaulttest.Key{{Created: age(2)}, {Created: age(1), NotBefore: now.Add(day)}}, 2, []int{0}},
		"within times":    {[]vaulttest.Key{{Created: age(2)}, {Created: age(1), NotBefore: age(1), Expires: now.Add(day)}}, 1, []int{1}},
		"newest not RSA":  {[]vaulttest.Key{{Created: age(2)}, {Created: age(1), Private: ec}}, 2, []int{0}},
		"newest no sign":  {[]vaulttest.Key{{Created: age(2)}, {Created: age(1), Private: small.Private, Operations: small.Operations}}, 2, []int{0}},
		"in an HSM":       {[]vaulttest.Key{{Created: age(1), HSM: true}}, 2, []int{0}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := vaulttest.NewServer()
			defer srv.Close()
			var versions, want []string
			for _, k := range c.versions {
				k.Name = keyName
				if k.Private == nil {
					k.Private = firstKey()
				}
				versions = append(versions, srv.CreateKey(k))
			}
			for _, i := range c.want {
				want = append(want, versions[i])
			}
			var log logtest.Buffer
			cfg := configFor(t, srv)
			cfg.Logger = log.Logger()
			source := open(t, cfg)
			for range 2 {
				if got := versionsOf(newest(t, source, c.n)); !slices.Equal(got, want) {
					t.Errorf("got %v, want %v of %v", got, want, versions)
				}
			}
			unfit := strings.Contains(name, "not RSA") || strings.Contains(name, "no sign")
			if got := strings.Count(log.String(), "vaultkey: a version of the key "); got != map[bool]int{true: 1}[unfit] {
				t.Errorf("got %d warnings, want one only about a version that can never be used:\n%s", got, log.String())
			}
		})
	}
}

// More versions than a page holds.
func TestNewestOfManyPages(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer(vaulttest.WithPaging(vaulttest.Paging{EmptyPages: 1}))
	defer srv.Close()
	var want []string
	for i := range 60 {
		want = append([]string{srv.CreateKey(vaulttest.Key{Name: keyName, Private: firstKey(), Created: time.Unix(int64(1e9+i), 0)})}, want...)
	}
	if diff := cmp.Diff(want[:3], versionsOf(newest(t, open(t, configFor(t, srv)), 3))); diff != "" {
		t.Error(diff)
	}
	if s := srv.Stats(); s.KeyVersionLists != 6 || s.KeyGets != 3 {
		t.Errorf("got %d pages and %d keys read, want 6 and 3", s.KeyVersionLists, s.KeyGets)
	}
}

// Versions of one second: the vault knows which is the latest.
func TestNewestOfOneSecond(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer()
	defer srv.Close()
	at := time.Now().Truncate(time.Second)
	create := func() string {
		return srv.CreateKey(vaulttest.Key{Name: keyName, Private: firstKey(), Created: at})
	}
	create()
	for range 8 { // ids are random: by luck, one may be right
		latest := create()
		srv.ResetStats()
		if got := versionsOf(newest(t, open(t, configFor(t, srv)), 1)); !slices.Equal(got, []string{latest}) {
			t.Errorf("got %v, want %s", got, latest)
		}
		if s := srv.Stats(); s.KeyVersionLists != 1 || s.KeyGets != 2 {
			t.Errorf("got %+v, want one request more than usual", s)
		}
	}
	srv.Faults.Add(faulttest.Fault{Match: func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/keys/"+keyName+"/") }, Status: 403, Body: "{}"})
	if got := newest(t, open(t, configFor(t, srv)), 2); len(got) != 2 {
		t.Errorf("got %v without the vault's word, want two versions in any order", got)
	}
}

// Reading again costs one request, plus one for a new version.
func TestReadingAgain(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer()
	defer srv.Close()
	made := func() string {
		return srv.CreateKey(vaulttest.Key{Name: keyName, Private: firstKey(), Created: time.Unix(int64(1e9+srv.Stats().KeyVersionLists), 0)})
	}
	first := made()
	source := open(t, configFor(t, srv))
	read := func(wantLists, wantGets int, want ...string) {
		t.Helper()
		if got := versionsOf(newest(t, source, 2)); !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		if s := srv.Stats(); s.KeyVersionLists != wantLists || s.KeyGets != wantGets || s.Challenges != 1 || s.Tokens != 1 {
			t.Errorf("got %+v, want %d lists, %d gets, 1 challenge and 1 token", s, wantLists, wantGets)
		}
	}
	read(1, 1, first)
	read(2, 1, first)
	second := made()
	read(3, 2, second, first)
	read(4, 2, second, first)
	srv.DisableKey(keyName, second)
	read(5, 2, first)
}

// A version that Key names is the only one, however new others are.
func TestNamedVersion(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer()
	defer srv.Close()
	expires := time.Now().Add(time.Hour).Truncate(time.Second)
	created := time.Now().Add(-time.Hour).Truncate(time.Second)
	version := srv.CreateKey(vaulttest.Key{Name: keyName, Private: firstKey(), Expires: expires, Created: created})
	srv.CreateKey(vaulttest.Key{Name: keyName, Private: secondKey()})
	for _, form := range []string{keyName + "/" + version, strings.ToUpper(keyName) + "/" + strings.ToUpper(version), srv.VaultURL() + "/keys/" + keyName + "/" + version} {
		cfg := configFor(t, srv)
		cfg.Key = form
		keys := newest(t, open(t, cfg), 2)
		if len(keys) != 1 || keys[0].Version() != version {
			t.Fatalf("%s: got %v, want the version %s", form, keys, version)
		}
		key := keys[0]
		if !key.Expires().Equal(expires) || !key.Created().Equal(created) || !firstKey().PublicKey.Equal(key.Public()) {
			t.Errorf("%s: got %v, made %v, ending %v, want the first version's", form, key, key.Created(), key.Expires())
		}
		if want := "maskinporten-key." + version; key.KeyID() != want || key.Algorithm() != "RS256" {
			t.Errorf("%s: got %s and %s, want %s and RS256", form, key.KeyID(), key.Algorithm(), want)
		}
	}
	if s := srv.Stats(); s.KeyVersionLists != 0 || s.KeyGets != 3 {
		t.Errorf("got %d lists and %d gets, want none and 3", s.KeyVersionLists, s.KeyGets)
	}
}

// A named version is looked at anew at each reading.
func TestNamedVersionEnds(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer()
	defer srv.Close()
	version := srv.CreateKey(vaulttest.Key{Name: keyName, Private: firstKey()})
	cfg := configFor(t, srv)
	cfg.Key = keyName + "/" + version
	source := open(t, cfg)
	newest(t, source, 1)
	srv.DisableKey(keyName, version)
	want := "vaultkey: make the version usable, or name another one in Key - key " + srv.VaultURL() + "/keys/" + keyName + ": version " + version + " is disabled"
	if _, err := source.Newest(t.Context(), 1); message(err) != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// If no version can be used, the error says why of each of the newest.
func TestNoVersionCanBeUsed(t *testing.T) {
	t.Parallel()
	ec, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	at := func(day int) time.Time { return time.Date(2020, 1, day, 12, 0, 0, 0, time.UTC) }
	srv := vaulttest.NewServer()
	defer srv.Close()
	source := open(t, configFor(t, srv))
	base := srv.VaultURL() + "/keys/" + keyName
	const cure = "vaultkey: make a new version of the key and register it, or make one of these usable - key "
	wants := []string{"vaultkey: create the key in the vault (a key, not a secret or a certificate), or correct its name - key " + base + " has no version"}
	add := func(k vaulttest.Key, why string) {
		k.Name, k.Created = keyName, at(len(wants))
		if k.Private == nil {
			k.Private = firstKey()
		}
		wants = append(wants, "version "+srv.CreateKey(k)+" "+why)
	}
	check := func(want string) {
		t.Helper()
		if _, err := source.Newest(t.Context(), 2); message(err) != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	check(wants[0])
	add(vaulttest.Key{Disabled: true}, "is disabled")
	check(cure + base + ": " + wants[1])
	add(vaulttest.Key{Expires: at(9)}, "expired on 2020-01-09")
	add(vaulttest.Key{NotBefore: time.Date(2999, 1, 9, 0, 0, 0, 0, time.UTC)}, "is not valid before 2999-01-09")
	check(cure + base + ": " + wants[3] + ", " + wants[2] + ", " + wants[1])
	add(vaulttest.Key{Private: ec}, "is not an RSA key: Maskinporten takes no other, so make one of type RSA")
	add(vaulttest.Key{Operations: []string{"verify"}}, "may not be used to sign: permit the operation Sign for it in the vault")
	check(cure + base + ": " + wants[5] + ", " + wants[4] + ", " + wants[3] + ", and 2 more")
}

// A reading has a bound of its own, and n has to be one or more.
func TestNewestIsBounded(t *testing.T) {
	t.Parallel()
	firstKey()
	synctest.Test(t, func(t *testing.T) {
		srv := vaulttest.NewPipe(vaulttest.WithLatency(time.Hour))
		defer srv.Close()
		for timeout, want := range map[time.Duration]time.Duration{0: 30 * time.Second, 2 * time.Second: 2 * time.Second} {
			cfg := configFor(t, srv)
			cfg.Timeout = timeout
			start := time.Now()
			_, err := open(t, cfg).Newest(t.Context(), 1)
			if time.Since(start) != want || !strings.Contains(message(err), "no result within the Timeout of "+want.String()) {
				t.Errorf("got %v after %v, want the end of the time after %v", err, time.Since(start), want)
			}
		}
	})
	source, err := vaultkey.Open(vaultkey.Config{Key: "https://v.vault.azure.net/keys/k", Credential: staticCredential})
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	if _, err := source.Newest(t.Context(), 0); message(err) != "vaultkey: Newest was asked for 0 keys: ask for 1 or more" {
		t.Errorf("got %v, want an error about 0 keys", err)
	}
}

// Keys joins what is read with a library that signs.
func TestKeys(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer()
	defer srv.Close()
	key := one(t, srv)
	source := open(t, configFor(t, srv))
	type mine struct {
		signer         crypto.Signer
		keyID, algorit string
	}
	got, err := vaultkey.Keys(t.Context(), source, 2, func(signer crypto.Signer, keyID, algorithm string) (mine, error) {
		return mine{signer, keyID, algorithm}, nil
	})
	if err != nil || len(got) != 1 || got[0].keyID != key.KeyID() || got[0].algorit != "RS256" || !firstKey().PublicKey.Equal(got[0].signer.Public()) {
		t.Errorf("got %v, %v, want one of %v", got, err, key)
	}
	refusal := errors.New("not this one")
	if _, err := vaultkey.Keys(t.Context(), source, 2, func(crypto.Signer, string, string) (int, error) { return 0, refusal }); !errors.Is(err, refusal) {
		t.Errorf("got %v, want the function's own error", err)
	}
	if _, err := vaultkey.Keys[int](t.Context(), source, 2, nil); message(err) != "vaultkey: Keys was given no function that makes a key" {
		t.Errorf("got %v, want an error about a nil function", err)
	}
	if _, err := vaultkey.Keys(t.Context(), nil, 2, func(crypto.Signer, string, string) (int, error) { return 0, nil }); message(err) != "vaultkey: the Source is nil or zero: make it with Open" {
		t.Errorf("got %v, want an error about a nil Source", err)
	}
}
