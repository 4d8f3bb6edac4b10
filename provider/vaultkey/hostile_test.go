package vaultkey_test

import (
	"context"
	"crypto"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"strings"
	"testing"

	"github.com/portnokkel/portnokkel/provider/vaultkey"
)

// hostile is a source of a key whose vault is a function.
func hostile(t *testing.T, key string, vault transporter) *vaultkey.Source {
	t.Helper()
	cfg := vaultkey.Config{Key: exampleVault + "/keys/" + key, Credential: staticCredential, Logger: slog.New(slog.DiscardHandler)}
	cfg.ClientOptions.Transport = vault
	cfg.ClientOptions.Retry.MaxRetries = -1
	return open(t, cfg)
}

func bundle(kid, kty, n, e string) string {
	return fmt.Sprintf(`{"key":{"kid":%q,"kty":%q,"n":%q,"e":%q}}`, kid, kty, n, e)
}

// What no vault answers is an error that quotes nothing of it.
func TestStrangeAnswers(t *testing.T) {
	t.Parallel()
	const kid = exampleVault + "/keys/k/" + exampleVersion
	n := public(firstKey())
	huge := base64.RawURLEncoding.EncodeToString(new(big.Int).Lsh(big.NewInt(1), 8192).Bytes())
	const otherKey = "the answer is about another key, or its id is malformed"
	const noKey = "the answer holds no key"
	for name, c := range map[string]struct{ key, body, want string }{
		"no list":             {"k", `{}`, "the answer holds no list of versions, not even an empty one"},
		"null":                {"k", `null`, "the answer holds no list of versions, not even an empty one"},
		"no JSON":             {"k", `CANARY`, "the answer is not the JSON that was expected"},
		"null in the list":    {"k", `{"value":[null]}`, otherKey},
		"no id":               {"k", `{"value":[{}]}`, otherKey},
		"a word as id":        {"k", `{"value":[{"kid":"CANARY"}]}`, otherKey},
		"another key's id":    {"k", `{"value":[{"kid":"https://my-vault.vault.azure.net/keys/CANARY/` + exampleVersion + `"}]}`, otherKey},
		"no version":          {"k", `{"value":[{"kid":"https://my-vault.vault.azure.net/keys/k"}]}`, otherKey},
		"on at another host":  {"k", `{"value":[],"nextLink":"https://CANARY.example/keys/k/versions"}`, "the listing goes on at another host, which must not get the token"},
		"in circles":          {"k", `{"value":[],"nextLink":"https://my-vault.vault.azure.net/keys/k/versions"}`, "the listing does not end"},
		"no key":              {"k/" + exampleVersion, `{}`, noKey},
		"a null key":          {"k/" + exampleVersion, `null`, noKey},
		"no type":             {"k/" + exampleVersion, `{"key":{"kid":"` + kid + `"}}`, noKey},
		"no kid":              {"k/" + exampleVersion, `{"key":{"kty":"RSA"}}`, otherKey},
		"another version":     {"k/" + exampleVersion, bundle(strings.Replace(kid, "0123", "CANARY", 1), "RSA", n, "AQAB"), otherKey},
		"another version too": {"k/" + exampleVersion, bundle(strings.Replace(kid, "0123", "3210", 1), "RSA", n, "AQAB"), otherKey},
		"a strange type":      {"k/" + exampleVersion, bundle(kid, "CANARY", n, "AQAB"), "is not an RSA key: Maskinporten takes no other, so make one of type RSA"},
		"no modulus":          {"k/" + exampleVersion, bundle(kid, "RSA", "", "AQAB"), "has 0 bits: make one of 2048 bits or more"},
		"1024 bits":           {"k/" + exampleVersion, bundle(kid, "RSA", n[:171], "AQAB"), "bits: make one of 2048 bits or more"},
		"8193 bits":           {"k/" + exampleVersion, bundle(kid, "RSA", huge, "AQAB"), noKey},
		"no exponent":         {"k/" + exampleVersion, bundle(kid, "RSA", n, ""), noKey},
		"an exponent of 1":    {"k/" + exampleVersion, bundle(kid, "RSA", n, "AQ"), noKey},
		"an even exponent":    {"k/" + exampleVersion, bundle(kid, "RSA", n, "AQAA"), noKey},
		"a long exponent":     {"k/" + exampleVersion, bundle(kid, "RSA", n, "AQAAAAAAAQ"), noKey},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := hostile(t, c.key, answers(http.StatusOK, c.body)).Newest(t.Context(), 1)
			if !strings.Contains(message(err), c.want) || strings.Contains(message(err), "CANARY") {
				t.Errorf("got %v, want %s, and no CANARY", err, c.want)
			}
			// The cure names this package's settings.
			failed := new(vaultkey.Error)
			if errors.As(err, &failed) && !strings.Contains(failed.Hint, "check that Key is a key vault's address") {
				t.Errorf("got the hint %q, want Key in it", failed.Hint)
			}
		})
	}
}

// vault answers a read with a good key, and everything else with sign.
func vaultOf(sign func(*http.Request) (int, string)) transporter {
	return func(r *http.Request) (*http.Response, error) {
		status, body := http.StatusOK, bundle(exampleVault+"/keys/k/"+exampleVersion, "RSA", public(firstKey()), "AQAB")
		if toSign(r) {
			status, body = sign(r)
		}
		return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	}
}

// A signature that does not fit the version's public key is not given out.
func TestWrongSignatures(t *testing.T) {
	t.Parallel()
	encode := base64.RawURLEncoding.EncodeToString
	other, err := rsa.SignPKCS1v15(nil, secondKey(), crypto.SHA256, digest(crypto.SHA256))
	if err != nil {
		t.Fatal(err)
	}
	byOther, err := rsa.SignPKCS1v15(nil, firstKey(), crypto.SHA512, digest(crypto.SHA512))
	if err != nil {
		t.Fatal(err)
	}
	const misfit = "the signature does not fit the version's public key"
	for name, c := range map[string]struct{ body, want string }{
		"another key's":       {`{"value":"` + encode(other) + `"}`, misfit},
		"another algorithm":   {`{"value":"` + encode(byOther) + `"}`, misfit},
		"nothing":             {`{}`, misfit},
		"null":                {`null`, misfit},
		"not JSON":            {`CANARY`, "the answer is not the JSON that was expected"},
		"not base64":          {`{"value":"CANARY!"}`, "the answer is not the JSON that was expected"},
		"more than a vault's": {strings.Repeat(" ", 3<<20), "the answer is larger than a key vault's can be"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source := hostile(t, "k/"+exampleVersion, vaultOf(func(*http.Request) (int, string) { return http.StatusOK, c.body }))
			_, err := newest(t, source, 1)[0].Sign(nil, digest(crypto.SHA256), crypto.SHA256)
			if !strings.Contains(message(err), c.want) || strings.Contains(message(err), "CANARY") {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

// A redirect is an answer like any other: the token does not go elsewhere.
func TestRedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	asked := map[string]int{}
	source := hostile(t, "k/"+exampleVersion, vaultOf(func(r *http.Request) (int, string) {
		asked[r.URL.Host]++
		return http.StatusTemporaryRedirect, ""
	}))
	_, err := newest(t, source, 1)[0].Sign(nil, digest(crypto.SHA256), crypto.SHA256)
	if !strings.Contains(message(err), "307 Temporary Redirect") || len(asked) != 1 || asked["my-vault.vault.azure.net"] != 1 {
		t.Errorf("got %v and requests to %v, want 307 and one request to the vault", err, asked)
	}
}

// A challenge that is not Key Vault's gets no token.
func TestForeignChallenge(t *testing.T) {
	t.Parallel()
	source := hostile(t, "k", func(r *http.Request) (*http.Response, error) {
		if r.Header.Get("Authorization") != "" {
			t.Error("the token was sent")
		}
		header := http.Header{"Www-Authenticate": {`Bearer authorization="https://login.example/CANARY", resource="http://vault.azure.net"`}}
		return &http.Response{StatusCode: http.StatusUnauthorized, Header: header, Body: http.NoBody, Request: r}, nil
	})
	_, err := source.Newest(t.Context(), 1)
	if !strings.Contains(message(err), "the answer's challenge is not one of Key Vault's") || strings.Contains(message(err), "CANARY") {
		t.Errorf("got %v, want an error about the challenge", err)
	}
}

// A client that ignores its context holds no caller.
func TestDeafTransport(t *testing.T) {
	t.Parallel()
	wake := make(chan struct{})
	defer close(wake)
	source := hostile(t, "k/"+exampleVersion, vaultOf(func(*http.Request) (int, string) {
		<-wake
		return http.StatusOK, ""
	}))
	key := newest(t, source, 1)[0]
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := key.SignContext(ctx, digest(crypto.SHA256), crypto.SHA256); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}
