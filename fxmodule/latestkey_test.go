package fxmodule_test

import (
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
	"github.com/portnokkel/portnokkel/internal/logtest"
	"github.com/portnokkel/portnokkel/provider"
)

// The key of the latest layer that has one is used, whichever setting each layer has it
// in, and no key of another layer is tried beside it.
func TestKeyOfTheLatestLayer(t *testing.T) {
	t.Parallel()
	type object = map[string]any
	key := func(id string) maskinportentest.Key {
		k := testKey()
		k.KeyID = id
		return k
	}
	end := time.Now().AddDate(0, 9, 0).Unix()
	jwk := func(id string) object {
		data, err := base64.StdEncoding.DecodeString(key(id).EncodedJWK())
		if err != nil {
			t.Fatal(err)
		}
		var members object
		if err := json.Unmarshal(data, &members); err != nil {
			t.Fatal(err)
		}
		members["exp"] = end
		return members
	}
	// variables are a JWK as the environment holds it, member by member.
	variables := func(path string, members object) (list []string) {
		for name, value := range members {
			text, err := json.Marshal(value)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, path+name+"="+strings.Trim(string(text), `"`))
		}
		return list
	}
	// another is a key of another client.
	another := func(id string) object {
		data, err := os.ReadFile("../testdata/keys/other.jwk.json")
		if err != nil {
			t.Fatal(err)
		}
		var members object
		if err := json.Unmarshal(data, &members); err != nil {
			t.Fatal(err)
		}
		members["kid"], members["exp"] = id, end
		return members
	}
	altinns := object{"Jwks": object{"keys": []any{another("newest"), jwk("previous")}}, "Jwk": another("newest"), "ClientId": "altinns", "Authority": "https://test.maskinporten.no/"}
	own := object{"ClientId": "own", "Environment": "test", "Scope": "s", "EncodedJwk": key("own").EncodedJWK(), "Kid": "named"}
	for name, c := range map[string]struct {
		app, mounted object
		environ      []string
		want         string // the ids of the keys that are tried, in their order
		warning      string
	}{
		"the app's only": {app: own, want: "named"},
		"Altinn's over the app's": {
			app: own, mounted: altinns, want: "newest previous",
			warning: "Kid (appsettings.json) is not used: it belongs to the key of its own source, and Jwks (maskinporten-settings.json) is of a later one",
		},
		"a variable over both": {
			app: own, mounted: altinns, environ: []string{"MaskinportenSettings__JwkBase64=" + key("variable").EncodedJWK(), "MaskinportenSettings__Kid="}, want: "variable",
			warning: "ClientId (maskinporten-settings.json) and JwkBase64 (environment variable MaskinportenSettings__JwkBase64), which may be of two clients: maskinporten-settings.json has another key, in Jwks",
		},
		"variables, member by member": {
			app: object{"ClientId": "own", "Environment": "test", "Scope": "s"}, want: "v1 v2",
			environ: append(variables("MaskinportenSettings__Jwks__keys__0__", jwk("v1")), variables("MaskinportenSettings__Jwks__keys__1__", jwk("v2"))...),
		},
		"a set of variables over Altinn's": {
			mounted: altinns, environ: append(variables("MaskinportenSettings__Jwks__keys__0__", jwk("v1")), "MaskinportenSettings__Scope=s"), want: "v1",
			warning: "check ClientId (maskinporten-settings.json) and Jwks (environment), which may be of two clients: maskinporten-settings.json has another key",
		},
		"one member of another layer": {
			app: object{"ClientId": "own", "Environment": "test", "Scope": "s", "Jwk": jwk("old")}, environ: []string{"MaskinportenSettings__Jwk__kid=new"}, want: "new",
			warning: "is made of parts of several sources: keep the key whole in one of them",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := func(section object) []byte {
				data, err := json.Marshal(object{"MaskinportenSettings": section})
				if err != nil {
					t.Fatal(err)
				}
				return data
			}
			var origins provider.Origins
			app := provider.AppConfig{
				FS: fstest.MapFS{}, Environment: "Production", Environ: func() []string { return c.environ },
				MaskinportenFile: filepath.Join(t.TempDir(), "maskinporten-settings.json"), Origins: &origins,
			}
			if c.app != nil {
				app.FS = fstest.MapFS{"appsettings.json": {Data: file(c.app)}}
			}
			if c.mounted != nil {
				if err := os.WriteFile(app.MaskinportenFile, file(c.mounted), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			k, err := provider.LoadAppConfig(app)
			if err != nil {
				t.Fatal(err)
			}
			section, err := provider.Section(k, "MaskinportenSettings")
			if err != nil {
				t.Fatal(err)
			}
			settings := httpclient.MaskinportenSettings{Origin: func(key string) httpclient.Origin {
				return httpclient.Origin(origins.Of("MaskinportenSettings:" + key))
			}}
			if err := settings.Parse(section); err != nil {
				t.Fatal(err)
			}
			settings.Scope = "s"

			var log logtest.Buffer
			refusing := refuser{t: t}
			source, err := httpclient.NewTokenSource(settings, httpclient.WithLogger(slog.New(slog.NewTextHandler(&log, nil))), httpclient.WithTokenTransport(&refusing))
			if err != nil {
				t.Fatal(err)
			}
			told := strings.ReplaceAll(log.String(), filepath.Dir(app.MaskinportenFile)+"/", "")
			_, _ = source.Token(t.Context())
			source.Close()
			if got := strings.Join(refusing.ids, " "); got != c.want {
				t.Errorf("got assertions by %s, want %s", got, c.want)
			}
			if !strings.Contains(told, c.warning) || c.warning == "" && strings.Contains(told, "WARN") {
				t.Errorf("got log\n%s\nwant %q", told, c.warning)
			}
		})
	}
}

// refuser is Maskinporten that knows no key, and keeps the ids of those that signed.
type refuser struct {
	t   *testing.T
	ids []string
}

func (r *refuser) RoundTrip(request *http.Request) (*http.Response, error) {
	if err := request.ParseForm(); err != nil {
		r.t.Error(err)
	}
	header, _, _ := strings.Cut(request.Form.Get("assertion"), ".")
	raw, err := base64.RawURLEncoding.DecodeString(header)
	if err != nil {
		r.t.Error(err)
	}
	var members struct{ Kid string }
	if err := json.Unmarshal(raw, &members); err != nil {
		r.t.Error(err)
	}
	r.ids = append(r.ids, members.Kid)
	recorder := httptest.NewRecorder()
	recorder.WriteHeader(http.StatusBadRequest)
	_, _ = recorder.WriteString(`{"error":"invalid_grant","error_description":"Unknown key identifier (kid) for client"}`)
	return recorder.Result(), nil
}
