package httpclient_test

import (
	"bytes"
	"encoding/base64"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
	"github.com/portnokkel/portnokkel/internal/logtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const scope = "altinn:serviceowner/instances.read"

// keyFile reads a key of testdata/keys.
func keyFile(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "testdata", "keys", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// withKey registers a key on the double in place of the usual one.
func withKey(key maskinportentest.Key) maskinportentest.Option { return maskinportentest.WithKey(key) }

func encoded(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// clientKey is the usual key of the tests, as the double knows it.
func clientKey(t testing.TB) maskinportentest.Key {
	t.Helper()
	key, err := maskinportentest.ParseKey(encoded(keyFile(t, "client.jwk.json")))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// newDouble starts Maskinporten behind TLS, with an API at /api that answers
// with the request's body.
func newDouble(t testing.TB, opts ...maskinportentest.Option) *maskinportentest.Server {
	t.Helper()
	srv := maskinportentest.NewServer(append([]maskinportentest.Option{maskinportentest.WithKey(clientKey(t))}, opts...)...)
	t.Cleanup(srv.Close)
	srv.Handle("/api", http.HandlerFunc(echo), scope)
	return srv
}

// newPipe is newDouble for synctest bubbles: the caller closes it.
func newPipe(t testing.TB, opts ...maskinportentest.Option) *maskinportentest.Server {
	t.Helper()
	srv := maskinportentest.NewPipe(append([]maskinportentest.Option{maskinportentest.WithKey(clientKey(t))}, opts...)...)
	srv.Handle("/api", http.HandlerFunc(echo), scope)
	return srv
}

func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	fmt.Fprintf(w, "hello %s", body)
}

// settingsOf are the double's settings, with changes.
func settingsOf(t testing.TB, srv *maskinportentest.Server, changes map[string]any) httpclient.MaskinportenSettings {
	t.Helper()
	section := srv.Section()
	for key, value := range changes {
		section[key] = value
	}
	settings, err := httpclient.ParseSettings(section)
	if warnings := httpclient.Warnings(settings); err != nil || len(warnings) > 0 {
		t.Fatalf("settings: %v, warnings %q", err, warnings)
	}
	return settings
}

// sourceOf makes a source that reaches the double; changes are settings.
func sourceOf(t testing.TB, srv *maskinportentest.Server, changes map[string]any, opts ...httpclient.Option) *httpclient.TokenSource {
	t.Helper()
	opts = append([]httpclient.Option{
		httpclient.WithTokenTransport(srv.Transport()),
		httpclient.WithBaseTransport(srv.Transport()),
		httpclient.WithLogger(slog.New(slog.DiscardHandler)),
	}, opts...)
	source, err := httpclient.NewTokenSource(settingsOf(t, srv, changes), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(source.Close)
	return source
}

// claimsOf reads the assertion of a token request, and leaves the request as it was.
func claimsOf(t testing.TB, r *http.Request) map[string]any {
	t.Helper()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	form, _ := url.ParseQuery(string(body))
	parts := strings.Split(form.Get("assertion"), ".")
	if len(parts) != 3 {
		return nil
	}
	payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Error(err)
	}
	return claims
}

// payload reads the claims of a token that is a JWT.
func payload(t testing.TB, token *httpclient.Token) map[string]any {
	t.Helper()
	parts := strings.Split(token.AccessToken(), ".")
	if len(parts) != 3 {
		t.Fatalf("got a token of %d parts, want a JWT", len(parts))
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(raw, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

// read returns a response's status and body, and closes it.
func read(t testing.TB, resp *http.Response, err error) (int, string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func get(t testing.TB, client *http.Client, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	return read(t, resp, err)
}

// pass lets a synctest bubble's clock run for d.
func pass(d time.Duration) { <-time.After(d) }

// logs collects what a logger printed.
type logs struct{ logtest.Buffer }

func (l *logs) logger(level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: level}))
}

// prints is everything that printing v can show, by every verb, logger and encoder.
func prints(v any) string {
	var b bytes.Buffer
	wrapped := "wrapped: %w" // not a constant: vet knows that it is the wrong verb
	for _, verb := range "vsqxXdobcUtTeEfFgGwp" {
		fmt.Fprintf(&b, "%"+string(verb)+"\n", v)
		fmt.Fprintf(&b, "%+"+string(verb)+"\n", v)
		fmt.Fprintf(&b, "%#"+string(verb)+"\n", v)
	}
	fmt.Fprintln(&b, fmt.Errorf(wrapped, v))
	fmt.Fprintln(&b, v)
	slog.New(slog.NewTextHandler(&b, nil)).Info("printed", "v", v)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("printed", "v", v)
	encoded, err := json.Marshal(v)
	fmt.Fprintf(&b, "%s %v\n", encoded, err)
	encoded, err = xml.Marshal(v)
	fmt.Fprintf(&b, "%s %v\n", encoded, err)
	fmt.Fprintln(&b, gob.NewEncoder(&b).Encode(v))
	return b.String()
}
