package httpclient

import (
	"crypto"
	"crypto/rsa"
	"errors"
	"fmt"

	"github.com/portnokkel/portnokkel/httpclient/internal/jose"
)

// ParseJWK makes a key of what the setting EncodedJwk may hold: a private RSA JWK, or
// a set or array with one private key. It may be JSON, or base64 of JSON in any
// alphabet. keyID replaces the JWK's own id, unless it is empty. Errors never quote
// the JWK.
func ParseJWK(encoded, keyID string) (*Key, error) {
	parsed, err := parseJWKs(encoded)
	if err == nil && len(parsed) > 1 {
		err = errors.New("is a set with more than one private key: use ParseJWKS")
	}
	keys, err := keysOf(parsed, keyID, err)
	if err != nil {
		return nil, fmt.Errorf("httpclient: the JWK %w", err)
	}
	return keys[0], nil
}

// ParseJWKS makes the keys of a JWK Set, newest first, as the setting Jwks holds them.
// It takes what [ParseJWK] does, but with up to five private keys. Public keys among
// them are left out. Each private key must be RSA, and several need each a key id of
// their own.
func ParseJWKS(encoded string) ([]*Key, error) {
	parsed, err := parseJWKs(encoded)
	keys, err := keysOf(parsed, "", err)
	if err != nil {
		return nil, fmt.Errorf("httpclient: the JWK Set %w", err)
	}
	return keys, nil
}

// parseJWKs reads private keys in their order, at least one. Its errors complete a
// sentence that begins with the source of the keys.
func parseJWKs(encoded string) ([]jose.PrivateKey, error) {
	data, err := decodeJWK(encoded)
	if err != nil {
		return nil, err
	}
	members, err := jose.PrivateMembers(data)
	if err != nil {
		return nil, err
	}
	parsed := make([]jose.PrivateKey, len(members))
	for i, member := range members {
		if parsed[i], err = jose.ParsePrivateKey(member); err != nil {
			return nil, ofSet(i, len(members), err)
		}
	}
	return parsed, nil
}

// ofSet tells which of several private keys an error is about.
func ofSet(i, n int, err error) error {
	if n == 1 {
		return err
	}
	return fmt.Errorf("holds a private key, number %d, that %w", i+1, err)
}

// keysOf makes keys of parsed ones, unless err says that there are none. keyID, unless it
// is empty, is the id of the only one.
func keysOf(parsed []jose.PrivateKey, keyID string, err error) ([]*Key, error) {
	if err != nil {
		return nil, err
	}
	places := map[string]int{} // of key ids
	keys := make([]*Key, len(parsed))
	for i, p := range parsed {
		id := p.KeyID
		if keyID != "" {
			id = keyID
		}
		if what := missingKeyID(id, len(parsed)); what != "" {
			return nil, ofSet(i, len(parsed), errors.New(what))
		}
		if before, twice := places[id]; twice {
			return nil, fmt.Errorf(`holds private keys, numbers %d and %d, with the same key id (member "kid"): remove one of them`, before+1, i+1)
		}
		places[id] = i
		keys[i] = &Key{
			signer: func() crypto.Signer { return p.Key }, alg: p.Algorithm, kid: id, bits: p.Key.N.BitLen(), setting: keySourceName,
		}
		keys[i].lives(p.Created, p.Expires, saysJWK)
	}
	return keys, nil
}

// missingKeyID says why a JWK cannot be used under an id, one of n. It is empty if it can.
func missingKeyID(id string, n int) string {
	switch what := misplacedKeyID(id); {
	case id == "" && n > 1:
		return `has no key id (member "kid"): add the id that it is registered under`
	case id == "":
		return `has no key id (member "kid"): set Kid to the id that the key is registered under`
	case what != "":
		return "has a key id that " + what
	}
	return ""
}

// isAmong reports whether a JWK is the JWK of one of the keys, by its modulus.
func isAmong(jwk []byte, keys []*Key) bool {
	n, ok := jose.Modulus(jwk)
	for _, key := range keys {
		if public, isRSA := publicKey(key.signer()).(*rsa.PublicKey); ok && isRSA && public.N.Cmp(n) == 0 {
			return true
		}
	}
	return !ok // what has no modulus is not a key, and so not another key
}
