package vaultkey_test

import (
	"context"
	"crypto"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/internal/logtest"
	"github.com/portnokkel/portnokkel/provider/vaultkey"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

const role = `grant the identity the role "Key Vault Crypto User" on the vault or the key (a new role takes up to 10 minutes)`

// What goes wrong while a key is read or signs, and what to do about it.
func TestFailuresSayWhatToDo(t *testing.T) {
	t.Parallel()
	reading := func(srv *vaulttest.Server, cfg vaultkey.Config) error {
		source, err := vaultkey.Open(cfg)
		if err != nil {
			return err
		}
		defer source.Close()
		_, err = source.Newest(context.Background(), 2)
		return err
	}
	named := func(srv *vaulttest.Server, cfg vaultkey.Config) error {
		cfg.Key = keyName + "/" + exampleVersion
		return reading(srv, cfg)
	}
	signing := func(change func(srv *vaulttest.Server)) func(*vaulttest.Server, vaultkey.Config) error {
		return func(srv *vaulttest.Server, cfg vaultkey.Config) error {
			source, err := vaultkey.Open(cfg)
			if err != nil {
				return err
			}
			defer source.Close()
			keys, err := source.Newest(context.Background(), 1)
			if err != nil {
				return err
			}
			change(srv)
			_, err = keys[0].Sign(nil, digest(crypto.SHA256), crypto.SHA256)
			return err
		}
	}
	answer := func(f faulttest.Fault) func(*vaulttest.Server) {
		f.Match = toSign
		return func(srv *vaulttest.Server) { srv.Faults.Add(f) }
	}
	for name, c := range map[string]struct {
		opts   []vaulttest.Option
		call   func(*vaulttest.Server, vaultkey.Config) error
		step   string
		status int
		code   string
		want   string // VAULT and VERSION stand for the server's
	}{
		"no role to list": {
			[]vaulttest.Option{vaulttest.WithoutKeys()},
			reading, "list versions", 403, "ForbiddenByRbac",
			role + " - list the versions of VAULT/keys/Maskinporten-Key: 403 ForbiddenByRbac",
		},
		"no role to read": {
			[]vaulttest.Option{vaulttest.WithoutKeys()},
			named, "get key", 403, "ForbiddenByRbac",
			role + " - read VAULT/keys/Maskinporten-Key/" + exampleVersion + ": 403 ForbiddenByRbac",
		},
		"no role to sign": {
			[]vaulttest.Option{vaulttest.WithoutSign()},
			signing(func(*vaulttest.Server) {}), "sign", 403, "ForbiddenByRbac",
			role + " - sign with VAULT/keys/Maskinporten-Key/VERSION: 403 ForbiddenByRbac",
		},
		"firewall": {
			[]vaulttest.Option{vaulttest.WithFirewall()},
			reading, "list versions", 403, "ForbiddenByFirewall",
			"let the address 203.0.113.7 through the vault's firewall (Networking), or reach the vault by its private endpoint" +
				" - list the versions of VAULT/keys/Maskinporten-Key: 403 ForbiddenByFirewall",
		},
		"missing": {
			nil, named, "get key", 404, "KeyNotFound",
			"create the key in the vault (a key, not a secret or a certificate), or correct its name and version" +
				" - read VAULT/keys/Maskinporten-Key/" + exampleVersion + ": 404 KeyNotFound",
		},
		"deleted": {
			nil, signing(func(srv *vaulttest.Server) { srv.DeleteKey(keyName) }), "sign", 404, "KeyNotFound",
			"create the key in the vault (a key, not a secret or a certificate), or correct its name and version" +
				" - sign with VAULT/keys/Maskinporten-Key/VERSION: 404 KeyNotFound",
		},
		"disabled": {
			nil, signing(func(srv *vaulttest.Server) { srv.DisableKey(keyName, "") }), "sign", 403, "KeyDisabled",
			"enable the key's version in the vault, or use another" +
				" - sign with VAULT/keys/Maskinporten-Key/VERSION: 403 KeyDisabled",
		},
		"expired by the vault's clock": {
			nil, signing(answer(faulttest.Fault{Status: 403, Body: `{"error":{"code":"Forbidden","innererror":{"code":"KeyExpired"}}}`})), "sign", 403, "KeyExpired",
			"make a new version of the key and register it, or set a later expiry date in the vault" +
				" - sign with VAULT/keys/Maskinporten-Key/VERSION: 403 KeyExpired",
		},
		"not yet valid by the vault's clock": {
			nil, signing(answer(faulttest.Fault{Status: 403, Body: `{"error":{"code":"Forbidden","innererror":{"code":"KeyNotYetValid"}}}`})), "sign", 403, "KeyNotYetValid",
			"set an earlier activation date for the key's version in the vault, or use another" +
				" - sign with VAULT/keys/Maskinporten-Key/VERSION: 403 KeyNotYetValid",
		},
		"operation": {
			nil, signing(answer(faulttest.Fault{Status: 403, Body: `{"error":{"code":"Forbidden","innererror":{"code":"KeyOperationForbidden"}}}`})), "sign", 403, "KeyOperationForbidden",
			"permit the operation Sign for the key's version in the vault, or make a new version that permits it" +
				" - sign with VAULT/keys/Maskinporten-Key/VERSION: 403 KeyOperationForbidden",
		},
		"throttled": {
			nil, signing(answer(faulttest.Fault{Status: 429, Times: -1, Header: http.Header{"Retry-After": {"60"}}})), "sign", 429, "",
			"take a key of 2048 bits, which the vault signs with most often, or give this service a vault of its own" +
				" - sign with VAULT/keys/Maskinporten-Key/VERSION: 429 Too Many Requests, asking to wait 1m0s: the vault is asked for too many signatures",
		},
		"Entra": {
			nil, func(srv *vaulttest.Server, cfg vaultkey.Config) error {
				srv.ExpireClientSecret()
				return reading(srv, cfg)
			}, "authenticate", 401, "AADSTS7000222", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := vaulttest.NewServer(c.opts...)
			defer srv.Close()
			version := srv.CreateKey(vaulttest.Key{Name: keyName, Private: firstKey()})
			err := c.call(srv, configFor(t, srv))
			var failed *vaultkey.Error
			if !errors.As(err, &failed) {
				t.Fatalf("got %v, want an *Error", err)
			}
			if failed.Step != c.step || failed.StatusCode != c.status || failed.Code != c.code || failed.Hint == "" {
				t.Errorf("got %+v, want the step %s, %d and %s", *failed, c.step, c.status, c.code)
			}
			want := strings.NewReplacer("VAULT", srv.VaultURL(), "VERSION", version).Replace("vaultkey: " + c.want)
			if c.want != "" && err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
			if !strings.Contains(err.Error(), " - ") || len(err.Error()) > 400 {
				t.Errorf("got %v, want the cure first, in under 400 characters", err)
			}
			var refused *azcore.ResponseError
			if c.step != "authenticate" && (!errors.As(err, &refused) || refused.StatusCode != c.status) {
				t.Errorf("got the cause %v, want the vault's refusal", failed.Unwrap())
			}
			for _, secret := range []string{srv.ClientSecret(), "vaulttest-token"} {
				if strings.Contains(err.Error()+prints(err)+prints(*failed), secret) {
					t.Errorf("got %v, want no secret in it", err)
				}
			}
		})
	}
}

// A version's end is known from its reading: a refusal says it, whatever its code.
func TestRefusalOfAnExpiredVersion(t *testing.T) {
	t.Parallel()
	firstKey()
	synctest.Test(t, func(t *testing.T) {
		srv := vaulttest.NewPipe()
		defer srv.Close()
		end := time.Now().Add(time.Hour)
		srv.CreateKey(vaulttest.Key{Name: keyName, Private: firstKey(), Expires: end})
		key := newest(t, open(t, configFor(t, srv)), 1)[0]
		address := srv.VaultURL() + "/keys/" + keyName + "/" + key.Version()
		refuse := func(code string) error {
			t.Helper()
			if code != "" {
				srv.Faults.Add(faulttest.Fault{Match: toSign, Status: 403, Body: `{"error":{"code":"Forbidden","innererror":{"code":"` + code + `"}}}`})
			}
			_, err := key.Sign(nil, digest(crypto.SHA256), crypto.SHA256)
			return err
		}
		if err := refuse("Unheard"); !strings.HasPrefix(message(err), `vaultkey: grant the identity the role "Key Vault Crypto User"`) || strings.Contains(message(err), "expired") {
			t.Errorf("before its end: got %v, want the role", err)
		}
		<-time.After(time.Hour)
		want := "vaultkey: make a new version of the key and register it, or set a later expiry date in the vault - sign with " +
			address + ": 403 Unheard, the version having expired on " + end.UTC().Format(time.DateOnly)
		if err := refuse("Unheard"); message(err) != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
		// A missing role is told as such all the same.
		if err := refuse("ForbiddenByRbac"); !strings.HasPrefix(message(err), "vaultkey: "+role) {
			t.Errorf("got %v, want the role", err)
		}
		if err := refuse("AccessDenied"); !strings.HasPrefix(message(err), "vaultkey: give the identity the key permissions Get, List and Sign") {
			t.Errorf("got %v, want the access policy", err)
		}
		if err := refuse(""); !strings.Contains(message(err), "403 KeyExpired, the version having expired on ") {
			t.Errorf("got %v, want the double's own refusal and the end", err)
		}
	})
}

// A credential that panics is an error, and the log has its stack without its value.
func TestPanicOfTheCredential(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer()
	defer srv.Close()
	var log logtest.Buffer
	cfg := configFor(t, srv)
	cfg.Logger = log.Logger()
	cfg.Credential = func(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) { panic("CANARY") }
	_, err := open(t, cfg).Newest(t.Context(), 1)
	var failed *vaultkey.Error
	if !errors.As(err, &failed) || failed.Step != "authenticate" || !strings.Contains(failed.Hint, "look at the stack in the log") {
		t.Errorf("got %v, want an error of the credential", err)
	}
	if text := log.String(); !strings.Contains(text, "TestPanicOfTheCredential") || strings.Contains(text+err.Error(), "CANARY") {
		t.Errorf("got %v and the log %s, want the stack without the value", err, text)
	}
}
