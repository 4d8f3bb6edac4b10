package maskinportentest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

// A nil or zero server knows nothing, refuses everything and panics nowhere.
func TestNilAndZero(t *testing.T) {
	t.Parallel()
	for name, srv := range map[string]*maskinportentest.Server{"nil": nil, "zero": {}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv.AddClient(maskinportentest.Client{ID: "a"})
			srv.Handle("/", http.HandlerFunc(tell))
			srv.Revoke("token")
			srv.RevokeAll()
			got := []any{
				srv.Issuer(), srv.TokenURL(), srv.PlatformURL(), srv.ClientID(), srv.EncodedJWK(), srv.Key().KeyID,
				srv.Section(), srv.Stats(), srv.Refusals(),
				srv.AddKey("a", key()), srv.AddKeyAfter("a", key(), time.Minute), srv.RemoveKey("a", kid), srv.ExpireKey("a", kid),
				srv.CertificatePEM(), fmt.Sprint(srv),
			}
			want := []any{
				"", "", "", "", "", "",
				map[string]any{},
				maskinportentest.Stats{},
				[]string(nil),
				false, false, false, false,
				[]byte(nil), "maskinportentest.Server()",
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}

			for want, handler := range map[int]http.Handler{
				http.StatusNotFound:     srv.Handler(),
				http.StatusUnauthorized: srv.RequireToken(http.HandlerFunc(tell)),
			} {
				for _, bearer := range []string{"", "Bearer x"} {
					rec := httptest.NewRecorder()
					req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.example/", http.NoBody)
					if bearer != "" {
						req.Header.Set("Authorization", bearer)
					}
					handler.ServeHTTP(rec, req)
					if rec.Code != want {
						t.Errorf("got %d, want %d", rec.Code, want)
					}
				}
			}
			for _, client := range []*http.Client{srv.Client(), {Transport: srv.Transport()}} {
				req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.example/", http.NoBody)
				if resp, err := client.Do(req); err == nil {
					_ = resp.Body.Close()
					t.Errorf("got %d, want an error", resp.StatusCode)
				}
			}
			srv.Close()
		})
	}
}

func TestNilArguments(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, maskinportentest.WithAltinnTokenLifetime(time.Minute), nil)
	w.Handle("GET /nil", nil)
	if got := w.get(w.PlatformURL()+"/nil", w.token()).status; got != http.StatusNotFound {
		t.Errorf("nil handler: got %d, want 404", got)
	}
	unset := maskinportentest.NewServer(maskinportentest.WithClock(nil), maskinportentest.WithKey(key()))
	defer unset.Close()
	x := &world{Server: unset, t: t, client: unset.Client(), clock: time.Now}
	x.token()
	if got, ok := maskinportentest.TokenFrom(nil); ok { //nolint:staticcheck // SA1012: a nil context is the case
		t.Errorf("nil context: got %v, want no token", got)
	}
}

func TestCloseTwice(t *testing.T) {
	t.Parallel()
	srv := maskinportentest.NewServer(maskinportentest.WithKey(key()))
	srv.Close()
	srv.Close()
	if _, err := srv.Client().Get(srv.TokenURL()); err == nil {
		t.Error("got an answer of a closed server, want an error")
	}
}
