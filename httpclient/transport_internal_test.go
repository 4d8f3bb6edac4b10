package httpclient

import (
	"errors"
	"net/http"
	"net/url"
	"testing"

	"github.com/portnokkel/portnokkel/httpclient/internal/tokencache"
)

// An origin is spelt one way: the default port is the one that is left out.
func TestOrigin(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"https://API.example":           "https://api.example:443",
		"https://api.example:443/x":     "https://api.example:443",
		"https://api.example:8443":      "https://api.example:8443",
		"http://api.example":            "http://api.example:80",
		"HTTP://api.example:80/":        "http://api.example:80",
		"https://[2001:DB8::1]":         "https://[2001:db8::1]:443",
		"https://api.example.":          "https://api.example.:443",
		"other://api.example":           "other://api.example:",
		"https://user:pw@api.example/a": "https://api.example:443",
	} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if got := origin(u); got != want {
			t.Errorf("%s: got %s, want %s", address, got, want)
		}
	}
}

// A chain of redirects is followed back for 100 hops and no further.
func TestMaxHops(t *testing.T) {
	t.Parallel()
	s := &source{}
	chain := func(hops int) *http.Request {
		req := &http.Request{URL: &url.URL{Scheme: "https", Host: "api.example"}}
		for range hops {
			req = &http.Request{URL: req.URL, Response: &http.Response{Request: req}}
		}
		return req
	}
	for hops, want := range map[int]bool{0: true, 1: true, 99: true, 100: true, 101: false, 1000: false} {
		if got := s.takesToken(chain(hops)); got != want {
			t.Errorf("%d hops: got %t, want %t", hops, got, want)
		}
	}
}

// Only a key source of the program's is to be checked, not the settings' own key.
func TestKeyErrorHint(t *testing.T) {
	t.Parallel()
	for want, keys := range map[string]KeySource{"": fixedKeys{}, "check what WithKeySource was given": KeySourceFunc(nil)} {
		if got := newKeyring(keys, keyUser{}, tokencache.System()).failed(errors.New("x")).Hint; got != want {
			t.Errorf("%T: got %q, want %q", keys, got, want)
		}
	}
}
