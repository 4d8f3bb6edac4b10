package vaulttest_test

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
	"github.com/google/go-cmp/cmp"

	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

func TestAzureClientReadsSixtySecrets(t *testing.T) {
	t.Parallel()
	run := func(t *testing.T, srv *vaulttest.Server, discoveries int) {
		defer srv.Close()
		want := map[string]string{}
		for i := range 60 {
			name := fmt.Sprintf("Section--Key%02d", i)
			want[name] = fmt.Sprintf("value %d", i)
			srv.Set(name, want[name])
		}
		client := newClient(t, srv)
		got := map[string]string{}
		for _, id := range secretIDs(t, client.NewListSecretPropertiesPager(nil)) {
			secret, err := client.GetSecret(t.Context(), id.Name(), "", nil)
			if err != nil {
				t.Fatal(err)
			}
			got[id.Name()] = *secret.Value
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		stats := srv.Stats()
		for name, n := range stats.GetsByName {
			if n != 1 || want[name] == "" {
				t.Errorf("%s: got %d reads, want 1", name, n)
			}
		}
		stats.GetsByName = nil
		wantStats := vaulttest.Stats{Challenges: 1, Lists: 3, Gets: 60, Discoveries: discoveries, Metadata: 1, Tokens: 1, MaxConcurrent: 1}
		if diff := cmp.Diff(wantStats, stats); diff != "" {
			t.Error(diff)
		}
	}
	t.Run("tls", func(t *testing.T) {
		t.Parallel()
		run(t, vaulttest.NewServer(), 0)
	})
	t.Run("own hosts", func(t *testing.T) {
		t.Parallel()
		run(t, vaulttest.NewServer(vaulttest.WithVaultHost("my-vault.vault.azure.net"), vaulttest.WithAuthorityHost("login.microsoftonline.com")), 1)
	})
	t.Run("pipe", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) { run(t, vaulttest.NewPipe(), 0) })
	})
}

// secretIDs is the ids on all pages, in order.
func secretIDs[T azsecrets.ListSecretPropertiesResponse | azsecrets.ListSecretPropertiesVersionsResponse](t *testing.T, pager *runtime.Pager[T]) (ids []azsecrets.ID) {
	t.Helper()
	for pager.More() {
		page, err := pager.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var properties []*azsecrets.SecretProperties
		switch p := any(page).(type) {
		case azsecrets.ListSecretPropertiesResponse:
			properties = p.Value
		case azsecrets.ListSecretPropertiesVersionsResponse:
			properties = p.Value
		}
		for _, p := range properties {
			ids = append(ids, *p.ID)
		}
	}
	return ids
}

func TestVersions(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer()
	defer srv.Close()
	want := map[string]int{}
	for i := range 30 {
		value := fmt.Sprint("value ", i)
		srv.SetSecret(vaulttest.Secret{Name: "Many", Value: value, Disabled: i == 29})
		want[value]++
	}
	delete(want, "value 29")
	srv.Set("Other", "not of Many")
	client := newClient(t, srv)

	ids := secretIDs(t, client.NewListSecretPropertiesVersionsPager("mANY", nil))
	got := map[string]int{}
	var versions []string
	for _, id := range ids {
		versions = append(versions, id.Version())
		secret, err := client.GetSecret(t.Context(), id.Name(), id.Version(), nil)
		if err != nil {
			if !strings.Contains(err.Error(), "SecretDisabled") {
				t.Errorf("%s: got %v, want SecretDisabled", id, err)
			}
			continue
		}
		if *secret.ID != id {
			t.Errorf("got %s, want %s", *secret.ID, id)
		}
		got[*secret.Value]++
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if !slices.IsSorted(versions) || len(slices.Compact(slices.Clone(versions))) != 30 {
		t.Errorf("got the versions %v, want 30 different ones in order", versions)
	}
	for _, v := range versions {
		if len(v) != 32 || strings.Trim(v, "0123456789abcdef") != "" {
			t.Errorf("got the version %q, want 32 hexadecimal digits", v)
		}
	}
	// A secret's latest version is the one stored last, here a disabled one.
	if _, err := client.GetSecret(t.Context(), "Many", "", nil); err == nil || !strings.Contains(err.Error(), "SecretDisabled") {
		t.Errorf("latest: got %v, want SecretDisabled", err)
	}
	if got := get(t, srv, "/secrets?api-version=7.6").items(t); len(got) != 2 || got[0].Attributes["enabled"] != false {
		t.Errorf("the list: got %v, want the latest version of Many first, which is disabled", got)
	}
	if none := secretIDs(t, client.NewListSecretPropertiesVersionsPager("Nobody", nil)); len(none) != 0 {
		t.Errorf("got %v, want no versions of a secret that does not exist", none)
	}
	if got := srv.Stats(); got.VersionLists != 3 || got.Lists != 1 || got.Gets != 31 {
		t.Errorf("got %d version lists, %d lists, %d gets, want 3, 1, 31", got.VersionLists, got.Lists, got.Gets)
	}
}

func TestNextLink(t *testing.T) {
	t.Parallel()
	const host = "my-vault.vault.azure.net"
	cases := []struct {
		name   string
		paging vaulttest.Paging
		query  string
		want   string
	}{
		{name: "plain", want: "https://" + host + "/secrets?api-version=7.6&$skiptoken="},
		{name: "page size asked for", query: "&maxresults=2", want: "https://" + host + "/secrets?api-version=7.6&$skiptoken= &maxresults=2"},
		{name: "port", paging: vaulttest.Paging{Port: true}, want: "https://" + host + ":443/secrets?api-version=7.6&$skiptoken="},
		{name: "another version", paging: vaulttest.Paging{APIVersion: "7.0"}, want: "https://" + host + "/secrets?api-version=7.0&$skiptoken="},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			srv := vaulttest.NewServer(vaulttest.WithVaultHost(host), vaulttest.WithPaging(c.paging))
			defer srv.Close()
			for i := range 26 {
				srv.Set(fmt.Sprint("Key", i), "")
			}
			got := get(t, srv, "/secrets?api-version=7.6"+c.query).body.NextLink
			if got == nil {
				t.Fatal("got no nextLink")
			}
			u, err := url.Parse(*got)
			if err != nil {
				t.Fatal(err)
			}
			token := u.Query().Get("$skiptoken")
			before, after, _ := strings.Cut(*got, token)
			if before := strings.TrimSpace(before + " " + after); token == "" || before != c.want {
				t.Errorf("got %q, want %q around the token", before, c.want)
			}
			if next := get(t, srv, *got); next.status != 200 {
				t.Errorf("the next page: got %d, want 200", next.status)
			}
			if ids := secretIDs(t, newClient(t, srv).NewListSecretPropertiesPager(nil)); len(ids) != 26 {
				t.Errorf("Azure's client: got %d secrets, want 26", len(ids))
			}
		})
	}
}

// ":443" needs a host: the vault's own address has another port already.
func TestPortNeedsAHost(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer(vaulttest.WithPaging(vaulttest.Paging{Port: true}))
	defer srv.Close()
	srv.Set("A", "")
	srv.Set("B", "")
	got := get(t, srv, "/secrets?api-version=7.6&maxresults=1").body.NextLink
	if got == nil || !strings.HasPrefix(*got, srv.VaultURL()+"/secrets?") {
		t.Errorf("got %v, want a link to %s", got, srv.VaultURL())
	}
}

func TestEmptyPages(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer(vaulttest.WithPaging(vaulttest.Paging{EmptyPages: 2}))
	defer srv.Close()
	client := newClient(t, srv)
	pages := func(pager *runtime.Pager[azsecrets.ListSecretPropertiesResponse]) (sizes []int) {
		for pager.More() {
			page, err := pager.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			sizes = append(sizes, len(page.Value))
		}
		return sizes
	}
	if got, want := pages(client.NewListSecretPropertiesPager(nil)), []int{0, 0, 0}; !slices.Equal(got, want) {
		t.Errorf("an empty vault: got pages of %v, want %v", got, want)
	}
	for i := range 30 {
		srv.Set(fmt.Sprint("Key", i), "")
		srv.Set("Many", "")
	}
	srv.Delete("Key0")
	if got, want := pages(client.NewListSecretPropertiesPager(nil)), []int{0, 0, 25, 0, 0, 5}; !slices.Equal(got, want) {
		t.Errorf("got pages of %v, want %v", got, want)
	}
	srv.ResetStats()
	if ids := secretIDs(t, client.NewListSecretPropertiesVersionsPager("Many", nil)); len(ids) != 30 || srv.Stats().VersionLists != 6 {
		t.Errorf("got %d versions on %d pages, want 30 on 6", len(ids), srv.Stats().VersionLists)
	}
}

// A token goes on with the listing it was made for, and with no other.
func TestSkipTokens(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer()
	defer srv.Close()
	for range 2 {
		srv.Set("A", "")
		srv.Set("B", "")
	}
	const query = "?api-version=7.6&maxresults=1"
	skip := func(path string) string {
		link := get(t, srv, path+query).body.NextLink
		if link == nil {
			t.Fatalf("%s: got no nextLink", path)
		}
		u, err := url.Parse(*link)
		if err != nil {
			t.Fatal(err)
		}
		return "&$skiptoken=" + u.Query().Get("$skiptoken")
	}
	tokens := map[string]string{"/secrets": "", "/secrets/A/versions": "", "/secrets/B/versions": ""}
	for path := range tokens {
		tokens[path] = skip(path)
	}
	tokens["another server's"] = "&$skiptoken=" + base64.RawURLEncoding.EncodeToString([]byte("other::0:A"))
	tokens["/secrets/a/versions"] = tokens["/secrets/A/versions"] // names have no case
	for _, path := range []string{"/secrets", "/secrets/A/versions", "/secrets/a/versions", "/secrets/B/versions"} {
		for of, token := range tokens {
			want := 400
			if strings.EqualFold(path, of) {
				want = 200
			}
			got := get(t, srv, path+query+token)
			if got.status != want || (want == 200 && (len(got.items(t)) != 1 || got.body.NextLink != nil)) {
				t.Errorf("%s with the token of %s: got %d %s, want %d", path, of, got.status, got.body.Value, want)
			}
		}
	}
}
