package jose_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"math/big"
	"strings"
	"sync"
	"testing"

	"github.com/portnokkel/portnokkel/httpclient/internal/jose"
)

var key = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, jose.MinBits)
	if err != nil {
		panic(err)
	}
	return k
})

// The compact serialization, taken apart by hand.
func TestSign(t *testing.T) {
	t.Parallel()
	signed, err := jose.Sign([]byte(`{"iss":"a"}`), key(), "RS256", jose.Header{KeyID: "k"})
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(signed, ".")
	if len(parts) != 3 {
		t.Fatalf("got %d parts, want 3", len(parts))
	}
	header, _ := base64.RawURLEncoding.DecodeString(parts[0])
	payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
	signature, _ := base64.RawURLEncoding.DecodeString(parts[2])
	if string(header) != `{"alg":"RS256","kid":"k"}` || string(payload) != `{"iss":"a"}` {
		t.Errorf("got header %s and payload %s, want RS256 with k, and the payload as it was", header, payload)
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if err := rsa.VerifyPKCS1v15(&key().PublicKey, crypto.SHA256, sum[:], signature); err != nil {
		t.Error(err)
	}
}

func TestSignRefuses(t *testing.T) {
	t.Parallel()
	broken := errors.New("the token is locked")
	for name, c := range map[string]struct {
		signer crypto.Signer
		alg    string
		header jose.Header
		want   string
	}{
		"another algorithm":   {key(), "PS256", jose.Header{}, jose.ErrAlgorithm.Error()},
		"no algorithm":        {key(), "none", jose.Header{}, jose.ErrAlgorithm.Error()},
		"a signer that fails": {failing{key(), broken}, "RS256", jose.Header{KeyID: "k"}, broken.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			signed, err := jose.Sign([]byte("{}"), c.signer, c.alg, c.header)
			if err == nil || signed != "" || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

// failing is a key in a device that does not answer.
type failing struct {
	crypto.Signer
	err error
}

func (f failing) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, f.err }

func TestCheck(t *testing.T) {
	t.Parallel()
	whole := *key()
	for name, c := range map[string]struct {
		change func(*rsa.PrivateKey)
		want   error
	}{
		"as it is":         {func(*rsa.PrivateKey) {}, nil},
		"nothing":          {func(k *rsa.PrivateKey) { *k = rsa.PrivateKey{} }, jose.ErrNumbers},
		"without primes":   {func(k *rsa.PrivateKey) { k.Primes = nil }, jose.ErrNumbers},
		"another exponent": {func(k *rsa.PrivateKey) { k.E = 3 }, jose.ErrNumbers},
		"a wrong exponent": {func(k *rsa.PrivateKey) { k.E = 4 }, jose.ErrExponent},
		"too large":        {func(k *rsa.PrivateKey) { k.N = new(big.Int).Lsh(k.N, jose.MaxBits) }, jose.ErrTooLarge},
		"a large prime":    {func(k *rsa.PrivateKey) { k.Primes = []*big.Int{k.Primes[0], new(big.Int).Lsh(k.N, jose.MaxBits)} }, jose.ErrNumbers},
		"a nil prime":      {func(k *rsa.PrivateKey) { k.Primes = []*big.Int{k.Primes[0], nil} }, jose.ErrNumbers},
	} {
		k := whole
		c.change(&k)
		if err := jose.Check(&k); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{"RS256", "RS384", "RS512"} {
		signed, err := jose.Sign([]byte("{}"), key(), alg, jose.Header{KeyID: "k"})
		if err != nil {
			t.Fatal(err)
		}
		i := strings.LastIndexByte(signed, '.')
		other := map[string]string{"RS256": "RS384", "RS384": "RS512", "RS512": "RS256"}[alg]
		for name, c := range map[string]struct {
			token, alg string
			want       error
		}{
			"as signed":           {signed, alg, nil},
			"another algorithm":   {signed, other, jose.ErrSignature},
			"no algorithm":        {signed, "none", jose.ErrAlgorithm},
			"another payload":     {"x" + signed, alg, jose.ErrSignature},
			"another signature":   {signed[:i+1] + "AAAA" + signed[i+5:], alg, jose.ErrSignature},
			"no signature":        {signed[:i+1], alg, jose.ErrSignature},
			"not a signature":     {signed[:i+1] + "%", alg, jose.ErrSignature},
			"nothing":             {"", alg, jose.ErrSignature},
			"a text without dots": {"e30", alg, jose.ErrSignature},
		} {
			if err := jose.Verify(c.token, &key().PublicKey, c.alg); !errors.Is(err, c.want) || (c.want == nil) != (err == nil) {
				t.Errorf("%s, %s: got %v, want %v", alg, name, err, c.want)
			}
		}
	}
}
