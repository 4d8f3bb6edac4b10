package vaultkey_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/provider/vaultkey"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

// Azure's own client and credential sign over TLS, and crypto/rsa verifies.
func TestSignaturesVerify(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer()
	defer srv.Close()
	key := one(t, srv)
	for name, hash := range map[string]crypto.Hash{"RS256": crypto.SHA256, "RS384": crypto.SHA384, "RS512": crypto.SHA512} {
		signature, err := key.Sign(rand.Reader, digest(hash), hash)
		if err != nil {
			t.Fatalf("%s: got %v, want a signature", name, err)
		}
		if err := rsa.VerifyPKCS1v15(&firstKey().PublicKey, hash, digest(hash), signature); err != nil {
			t.Errorf("%s: got %v, want a signature of the vault's key", name, err)
		}
	}
	if s := srv.Stats(); s.Signs != 3 || s.Challenges != 1 || s.Tokens != 1 || s.Refused != 0 {
		t.Errorf("got %+v, want 3 signatures with 1 challenge and 1 token", s)
	}
}

// The version that was read signs, even after a newer one is made.
func TestKeySignsWithItsVersion(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer()
	defer srv.Close()
	key := one(t, srv)
	srv.CreateKey(vaulttest.Key{Name: keyName, Private: secondKey()})
	signature, err := key.Sign(nil, digest(crypto.SHA256), crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if err := rsa.VerifyPKCS1v15(&firstKey().PublicKey, crypto.SHA256, digest(crypto.SHA256), signature); err != nil {
		t.Errorf("got %v, want a signature of the first version", err)
	}
}

// What Maskinporten does not take is refused before anything is sent.
func TestRefusedToSign(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer()
	defer srv.Close()
	key := one(t, srv)
	var noOptions *rsa.PSSOptions
	for name, c := range map[string]struct {
		key    *vaultkey.Key
		digest []byte
		opts   crypto.SignerOpts
		want   string
	}{
		"short digest": {key, make([]byte, 31), crypto.SHA256, "vaultkey: Sign was given 31 bytes: RS256 signs a digest by SHA-256, of 32 bytes"},
		"long digest":  {key, make([]byte, 33), crypto.SHA256, "vaultkey: Sign was given 33 bytes: RS256 signs a digest by SHA-256, of 32 bytes"},
		"other digest": {key, make([]byte, 32), crypto.SHA512, "vaultkey: Sign was given 32 bytes: RS512 signs a digest by SHA-512, of 64 bytes"},
		"no digest":    {key, nil, crypto.SHA384, "vaultkey: Sign was given 0 bytes: RS384 signs a digest by SHA-384, of 48 bytes"},
		"PSS":          {key, make([]byte, 32), &rsa.PSSOptions{Hash: crypto.SHA256}, "vaultkey: Sign was asked for a PSS signature: Maskinporten takes RS256, RS384 and RS512 only, so give crypto.SHA256, SHA384 or SHA512 as options"},
		"SHA-1":        {key, make([]byte, 20), crypto.SHA1, "vaultkey: Sign was given the hash SHA-1: give crypto.SHA256, SHA384 or SHA512"},
		"no hash":      {key, make([]byte, 20), crypto.Hash(0), "vaultkey: Sign was given the hash unknown hash value 0: give crypto.SHA256, SHA384 or SHA512"},
		"no options":   {key, make([]byte, 32), nil, "vaultkey: Sign was given no options: set the digest's hash, such as crypto.SHA256"},
		"nil options":  {key, make([]byte, 32), noOptions, "vaultkey: Sign was given no options: set the digest's hash, such as crypto.SHA256"},
		"nil key":      {nil, make([]byte, 32), crypto.SHA256, "vaultkey: the Key is nil or zero: take one from a Source"},
		"zero key":     {&vaultkey.Key{}, make([]byte, 32), crypto.SHA256, "vaultkey: the Key is nil or zero: take one from a Source"},
	} {
		if _, err := c.key.Sign(rand.Reader, c.digest, c.opts); message(err) != c.want {
			t.Errorf("%s: got  %v\nwant %s", name, err, c.want)
		}
	}
	if s := srv.Stats(); s.Signs != 0 {
		t.Errorf("got %d requests for a signature, want none", s.Signs)
	}
}

// In simulated time: a signature ends within its bound, whatever the vault does, and
// temporary failures are tried again within it.
func TestSignWithinItsBound(t *testing.T) {
	t.Parallel()
	firstKey()
	const forever = -1
	after := func(seconds string) http.Header { return http.Header{"Retry-After": {seconds}} }
	for name, c := range map[string]struct {
		faults  []faulttest.Fault
		timeout time.Duration
		took    [2]time.Duration // at least, at most
		signs   [2]int
		want    string // "" for a signature
	}{
		"slow":              {faults: []faulttest.Fault{{Delay: 4 * time.Second}}, took: [2]time.Duration{4 * time.Second, 4 * time.Second}, signs: [2]int{1, 1}},
		"hangs":             {faults: []faulttest.Fault{{Hang: true, Times: forever}}, took: [2]time.Duration{5 * time.Second, 5 * time.Second}, signs: [2]int{1, 1}, want: "no result within the Timeout of 5s"},
		"own bound":         {faults: []faulttest.Fault{{Hang: true, Times: forever}}, timeout: time.Second, took: [2]time.Duration{time.Second, time.Second}, signs: [2]int{1, 1}, want: "no result within the Timeout of 1s"},
		"503 once":          {faults: []faulttest.Fault{{Status: 503}}, took: [2]time.Duration{100 * time.Millisecond, time.Second}, signs: [2]int{2, 2}},
		"503 thrice":        {faults: []faulttest.Fault{{Status: 503, Times: 3}}, took: [2]time.Duration{time.Second, 3 * time.Second}, signs: [2]int{4, 4}},
		"503 for ever":      {faults: []faulttest.Fault{{Status: 503, Times: forever}}, took: [2]time.Duration{time.Second, 3 * time.Second}, signs: [2]int{4, 4}, want: "503 Service Unavailable"},
		"a lost connection": {faults: []faulttest.Fault{{Drop: true}}, took: [2]time.Duration{100 * time.Millisecond, time.Second}, signs: [2]int{2, 2}},
		"429 twice":         {faults: []faulttest.Fault{{Status: 429, Times: 2, Header: after("1")}}, took: [2]time.Duration{2 * time.Second, 2 * time.Second}, signs: [2]int{3, 3}},
		"429 for ever":      {faults: []faulttest.Fault{{Status: 429, Times: forever}}, took: [2]time.Duration{2 * time.Second, 5 * time.Second}, signs: [2]int{4, 8}, want: "429 Too Many Requests"},
		"429 for too long":  {faults: []faulttest.Fault{{Status: 429, Times: forever, Header: after("6")}}, took: [2]time.Duration{0, 0}, signs: [2]int{1, 1}, want: "429 Too Many Requests, asking to wait 6s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := vaulttest.NewPipe()
				defer srv.Close()
				srv.CreateKey(vaulttest.Key{Name: keyName, Private: firstKey()})
				cfg := configFor(t, srv)
				cfg.Timeout = c.timeout
				key := newest(t, open(t, cfg), 1)[0]
				for range 2 { // a failure must not cost the next signature its tries
					srv.ResetStats()
					for _, f := range c.faults {
						f.Match = toSign
						srv.Faults.Add(f)
					}
					start := time.Now()
					_, err := key.Sign(nil, digest(crypto.SHA256), crypto.SHA256)
					took, signs := time.Since(start), srv.Stats().Signs
					if took < c.took[0] || took > c.took[1] || signs < c.signs[0] || signs > c.signs[1] {
						t.Errorf("got %v after %d requests, want %v and %v", took, signs, c.took, c.signs)
					}
					if (err == nil) != (c.want == "") || !strings.Contains(message(err), c.want) {
						t.Errorf("got %v, want %q", err, c.want)
					}
					if failed := new(vaultkey.Error); err != nil && !errors.As(err, &failed) {
						t.Errorf("got a %T, want an *Error", err)
					}
					srv.Faults.Clear()
				}
			})
		})
	}
}

// A signature ends with its caller's context.
func TestSignEndsWithItsContext(t *testing.T) {
	t.Parallel()
	firstKey()
	synctest.Test(t, func(t *testing.T) {
		srv := vaulttest.NewPipe()
		defer srv.Close()
		key := one(t, srv)
		srv.Faults.Add(faulttest.Fault{Match: toSign, Hang: true, Times: -1})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err := key.SignContext(ctx, digest(crypto.SHA256), crypto.SHA256)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second || !strings.Contains(message(err), "the context's deadline passed") {
			t.Errorf("got %v after %v, want the context's end after 1s", err, time.Since(start))
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := key.SignContext(ended, digest(crypto.SHA256), crypto.SHA256); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
	})
}

// Calls at the same time count their tries apart, and share the token.
func TestSignAtTheSameTime(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer()
	defer srv.Close()
	srv.CreateKey(vaulttest.Key{Name: keyName, Private: firstKey()})
	cfg := configFor(t, srv)
	cfg.Timeout = time.Minute // a busy machine
	key := newest(t, open(t, cfg), 1)[0]
	srv.Faults.Add(faulttest.Fault{Match: toSign, Status: 503, Times: 6})
	var callers sync.WaitGroup
	for range 16 {
		callers.Go(func() {
			if _, err := key.Sign(nil, digest(crypto.SHA512), crypto.SHA512); err != nil {
				t.Errorf("got %v, want a signature", err)
			}
		})
	}
	callers.Wait()
	if s := srv.Stats(); s.Signs != 22 || s.Tokens != 1 || s.Challenges != 1 {
		t.Errorf("got %d requests, %d tokens and %d challenges, want 22, 1 and 1", s.Signs, s.Tokens, s.Challenges)
	}
}

// Continuous access evaluation ends a token early: the next signature gets another one,
// with its body intact.
func TestClaimsChallenge(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer()
	defer srv.Close()
	key := one(t, srv)
	srv.RequireClaims(`{"access_token":{"nbf":{"essential":true,"value":"1726258122"}}}`)
	for range 2 {
		if _, err := key.Sign(nil, digest(crypto.SHA256), crypto.SHA256); err != nil {
			t.Fatalf("got %v, want a signature", err)
		}
	}
	if s := srv.Stats(); s.Tokens != 2 || s.Signs != 3 {
		t.Errorf("got %d tokens and %d requests, want 2 and 3", s.Tokens, s.Signs)
	}
}

// A token that ends is replaced without a failure.
func TestTokenEnds(t *testing.T) {
	t.Parallel()
	firstKey()
	synctest.Test(t, func(t *testing.T) {
		srv := vaulttest.NewPipe()
		defer srv.Close()
		key := one(t, srv)
		for range 5 {
			if _, err := key.Sign(nil, digest(crypto.SHA256), crypto.SHA256); err != nil {
				t.Fatalf("got %v, want a signature", err)
			}
			<-time.After(time.Hour)
		}
		if s := srv.Stats(); s.Tokens != 5 || s.Challenges != 1 || s.Refused != 0 {
			t.Errorf("got %+v, want 5 tokens after one challenge", s)
		}
	})
}
