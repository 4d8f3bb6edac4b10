package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/internal/logtest"
	"github.com/portnokkel/portnokkel/internal/paste/pastetest"
	"github.com/portnokkel/portnokkel/provider"
)

func TestAPIAddress(t *testing.T) {
	t.Parallel()
	const wrong = "ExampleApp:ApiUrl (appsettings.json) is not the URL of an API: it begins with https:// and a host"
	for setting, want := range map[string]string{
		``:                                      "ExampleApp:ApiUrl is missing: set it to the API to call",
		`, "ExampleApp": {"ApiUrl": ""}`:        "ExampleApp:ApiUrl (appsettings.json) is missing: set it to the API to call",
		`, "ExampleApp": 1`:                     `provider: section "ExampleApp": set keys below it - a single value is there`,
		`, "exampleapp": {"APIURL": 5}`:         wrong,
		`, "ExampleApp": {"ApiUrl": "a.no/x"}`:  wrong,
		`, "ExampleApp": {"ApiUrl": "ftp://a"}`: wrong,
		`, "ExampleApp": {"ApiUrl": "%"}`:       wrong,
		`, "exampleapp": {"apiurl": "https://platform.tt02.altinn.no/storage/api/v1/nothing?code=CANARY"}`:            "the API answered 404 Not Found to GET https://platform.tt02.altinn.no/storage/api/v1/nothing",
		`, "ExampleApp": {"ApiUrl": "http://a.example/x?code=CANARY"}`:                                                "GET http://a.example/x: httpclient: use https for a.example - a token is not sent over plain http",
		`, "ExampleApp": {"ApiUrl": "https://u:CANARY@platform.tt02.altinn.no/storage/api/v1/instances?code=CANARY"}`: "the API answered 401 Unauthorized to GET https://platform.tt02.altinn.no/storage/api/v1/instances",
	} {
		d := startDemo()
		s := d.setup()
		s.app = provider.AppConfig{Environ: s.app.Environ, Dir: dir(t, map[string]string{
			"appsettings.json": `{"MaskinportenSettings": {"Environment": "test", "Scope": "altinn:serviceowner/instances.read"}` + setting + `}`,
		})}
		var out, errs logtest.Buffer
		err := runApp(t.Context(), invocation{out: &out, errors: &startLog{out: &errs}}, s, mode{addr: anyPort})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", setting, err, want)
		}
		if strings.Contains(fmt.Sprint(err)+out.String()+errs.String(), "CANARY") {
			t.Errorf("%s: a secret is printed", setting)
		}
		d.Close()
	}
}

// What the API says is passed on; an answer that is too large is not, in part.
func TestAnswers(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("x", maxBody+1)
	for body, want := range map[string]string{big[1:]: "", big: "the answer is over 1048576 bytes"} {
		d := startDemo()
		d.porten.Handle("/big", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }))
		client := &http.Client{Transport: d.porten.Transport()}
		token := grant(t, d)
		i := &instances{client: client, url: &url.URL{Scheme: "https", Host: "platform.tt02.altinn.no", Path: "/big"}}
		i.client.Transport = bearing{d.porten.Transport(), token}
		answer, err := i.get(t.Context())
		if want == "" && (err != nil || len(answer.body) != maxBody) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%d bytes: got %d, %v, want %d and the error %q", len(body), len(answer.body), err, maxBody, want)
		}
		d.Close()
	}
}

// grant is a token of the demo's.
func grant(t *testing.T, d *demo) string {
	t.Helper()
	settings, err := httpclient.ParseSettings(d.porten.Section())
	if err != nil {
		t.Fatal(err)
	}
	source, err := httpclient.NewTokenSource(settings, httpclient.WithTokenTransport(d.porten.Transport()))
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	token, err := source.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return token.AccessToken()
}

type bearing struct {
	base  http.RoundTripper
	token string
}

func (b bearing) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return b.base.RoundTrip(r)
}

// A secret in place of the API's address is refused by the setting's name and source. It
// is neither printed nor sent. A key or a token within an address is refused as well.
func TestPastedSecrets(t *testing.T) {
	t.Parallel()
	d := startDemo()
	defer d.Close()
	for kind, secret := range pastetest.Secrets(t, "../../testdata/keys") {
		values := []string{secret}
		if kind == "JWT" || kind == "JWK, compact" || kind == "base64url of the JWK" {
			values = append(values, "https://platform.tt02.altinn.no/storage?code="+secret)
		}
		for _, value := range values {
			s := d.setup()
			s.app.Environ = environWith(s.app.Environ, "ExampleApp__ApiUrl="+value)
			var out, errs logtest.Buffer
			log := &startLog{out: &errs}
			err := runApp(t.Context(), invocation{out: &out, errors: log}, s, mode{addr: anyPort})
			log.release()
			const want = `level=ERROR msg="ExampleApp:ApiUrl (environment variable ExampleApp__ApiUrl) `
			if err == nil || !strings.Contains(errs.String(), want) {
				t.Errorf("%s: got %v and the log %s, want %s", kind, err, errs.String(), want)
			}
			printed := fmt.Sprint(err) + out.String() + errs.String()
			for i := 0; i+16 <= len(secret); i += 8 {
				if strings.Contains(printed, secret[i:i+16]) {
					t.Errorf("%s is printed: %s", kind, printed)
					break
				}
			}
		}
	}
	if n := d.porten.Stats().TokenRequests; n != 0 {
		t.Errorf("got %d token requests, want none", n)
	}
}
