package vaultkey_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"

	"github.com/portnokkel/portnokkel/provider/vaultkey"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

// Keys of the tests. A bubble must not make one: it would wait in simulated time.
var (
	firstKey  = sync.OnceValue(newRSA)
	secondKey = sync.OnceValue(newRSA)
)

func newRSA() *rsa.PrivateKey {
	key, _ := rsa.GenerateKey(rand.Reader, 2048) // never fails with 2048 bits
	return key
}

const keyName = "Maskinporten-Key"

// configFor is a Config for the key keyName of srv, as the server's own client.
func configFor(t testing.TB, srv *vaulttest.Server) vaultkey.Config {
	t.Helper()
	cred, err := srv.Credential()
	if err != nil {
		t.Fatal(err)
	}
	return vaultkey.Config{
		Key: keyName, VaultURL: srv.VaultURL(), Credential: cred.GetToken, ClientOptions: azkeys.ClientOptions(srv.ClientOptions()),
		Logger: slog.New(slog.DiscardHandler),
	}
}

func open(t testing.TB, cfg vaultkey.Config) *vaultkey.Source {
	t.Helper()
	source, err := vaultkey.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(source.Close)
	return source
}

func newest(t testing.TB, source *vaultkey.Source, n int) []*vaultkey.Key {
	t.Helper()
	keys, err := source.Newest(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// one is the newest key of srv, whose only version is firstKey, and that version.
func one(t testing.TB, srv *vaulttest.Server) *vaultkey.Key {
	t.Helper()
	srv.CreateKey(vaulttest.Key{Name: keyName, Private: firstKey()})
	return newest(t, open(t, configFor(t, srv)), 1)[0]
}

func digest(hash crypto.Hash) []byte {
	h := hash.New()
	_, _ = io.WriteString(h, "header.payload")
	return h.Sum(nil)
}

// public is the modulus of a key, as a JWK has it.
func public(key *rsa.PrivateKey) string {
	return base64.RawURLEncoding.EncodeToString(key.N.Bytes())
}

func toSign(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/sign") }

func message(err error) string {
	if err == nil {
		return "no error"
	}
	return err.Error()
}

// prints is v by every verb and encoder that comes to mind.
func prints(v any) string {
	var b strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&b, verb+"\n", v)
	}
	encoded, _ := json.Marshal(v)
	b.Write(encoded)
	return b.String()
}

// transporter is a function as a transport of the SDK's.
type transporter func(*http.Request) (*http.Response, error)

func (f transporter) Do(r *http.Request) (*http.Response, error) { return f(r) }

// answers is a vault that gives the same answer to every request.
func answers(status int, body string) transporter {
	return func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	}
}

// staticCredential gives the same token always.
func staticCredential(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "CANARY-token-for-tests", ExpiresOn: time.Now().Add(time.Hour)}, nil
}
