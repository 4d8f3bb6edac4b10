package httpclient_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/portnokkel/portnokkel/httpclient"
)

// What a warm token costs a request, and a program that asks for it.
func BenchmarkWarm(b *testing.B) {
	srv := newDouble(b)
	resp := answer(http.StatusOK, nil)
	base := roundTripper(func(*http.Request) (*http.Response, error) { return resp, nil })
	source := sourceOf(b, srv, nil)
	rt := source.Transport(base)
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "https://api.example/", nil)
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Accept", "application/json")
	b.Run("request", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := rt.RoundTrip(req); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("token", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := source.Token(context.Background()); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// What building a client costs; it touches no network.
func BenchmarkNew(b *testing.B) {
	s := settingsOf(b, newDouble(b), nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := httpclient.New(s); err != nil {
			b.Fatal(err)
		}
	}
}

// What a fetch costs beside the network and the signature, with the key of a source.
func BenchmarkFetch(b *testing.B) {
	source, asked := instant(b)
	b.ReportAllocs()
	var i int
	for b.Loop() {
		i++
		if _, err := source.Token(customer(b, i)); err != nil {
			b.Fatal(err)
		}
	}
	if asked.Load() == 0 {
		b.Error("got no token request, want one for each token")
	}
}
