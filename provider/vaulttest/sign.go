package vaulttest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha256" // the digests' lengths
	_ "crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"
)

// hashes are those of the algorithms that sign with an RSA key.
var hashes = map[string]crypto.Hash{
	"RS256": crypto.SHA256, "RS384": crypto.SHA384, "RS512": crypto.SHA512,
	"PS256": crypto.SHA256, "PS384": crypto.SHA384, "PS512": crypto.SHA512,
}

// maxSignBody is longer than any request for a signature, in bytes.
const maxSignBody = 8 << 10

// getKey answers with a version's public key. A disabled or expired one can be read,
// as in Azure.
func (s *Server) getKey(w http.ResponseWriter, c call) {
	found, ok := s.findKey(c.name, c.version)
	if !ok {
		s.refuseKeyNotFound(w, c)
		return
	}
	writeJSON(w, http.StatusOK, found.bundle(s.keyID(found.Name)+"/"+found.id))
}

func (s *Server) refuseKeyNotFound(w http.ResponseWriter, c call) {
	s.refuseVault(w, http.StatusNotFound, "KeyNotFound", fmt.Sprintf(
		"A key with (name/id) %s was not found in this key vault. If you recently deleted this key you may be able to recover it using the correct recovery command. For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125182",
		strings.TrimSuffix(c.name+"/"+c.version, "/")), "")
}

// sign answers a request for a signature of a digest. It checks the request first, then
// the key.
//
// The texts about a key outside of its times are made like that about a disabled one.
// Azure's own have not been seen.
func (s *Server) sign(w http.ResponseWriter, r *http.Request, c call) {
	bad := func(format string, args ...any) {
		s.refuseVault(w, http.StatusBadRequest, "BadParameter", fmt.Sprintf(format, args...), "")
	}
	forbid := func(inner, why string) {
		s.refuseVault(w, http.StatusForbidden, "Forbidden", "Operation sign is not "+why, inner)
	}
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" {
		s.refuseVault(w, http.StatusUnsupportedMediaType, "UnsupportedMediaType", "the body has to be application/json", "")
		return
	}
	var body struct{ Alg, Value string }
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxSignBody)).Decode(&body); err != nil {
		bad("the body is not a JSON object of alg and value")
		return
	}
	digest, err := base64.RawURLEncoding.DecodeString(body.Value)
	if err != nil || body.Value == "" {
		bad("Property value has invalid value: base64url of a digest is required")
		return
	}
	found, ok := s.findKey(c.name, c.version)
	hash, known := hashes[body.Alg]
	now := s.now()
	switch {
	case !ok:
		s.refuseKeyNotFound(w, c)
	case body.Alg == "":
		bad("Property alg is required")
	case !known && !strings.HasPrefix(body.Alg, "ES"):
		bad("Property alg has invalid value: %q is not an algorithm that signs", body.Alg)
	case known != isRSA(found):
		bad("Key and signing algorithm are incompatible. Key %s is of type '%s'.", s.keyID(found.Name)+"/"+found.id, found.kty())
	case !known:
		bad("vaulttest does not sign with EC keys")
	case len(digest) != hash.Size():
		bad("Invalid length of 'value': %d bytes. %s requires %d bytes, encoded with base64url.", len(digest), body.Alg, hash.Size())
	case found.Disabled:
		forbid("KeyDisabled", "allowed on a disabled key.")
	case !found.NotBefore.IsZero() && now.Before(found.NotBefore):
		forbid("KeyNotYetValid", "allowed on a key that is not yet valid.")
	case !found.Expires.IsZero() && !now.Before(found.Expires):
		forbid("KeyExpired", "allowed on an expired key.")
	case !slices.Contains(found.operations(), "sign"):
		forbid("KeyOperationForbidden", "permitted on this key.")
	default:
		var opts crypto.SignerOpts = hash
		if strings.HasPrefix(body.Alg, "PS") {
			opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}
		}
		signature, err := found.Private.Sign(rand.Reader, digest, opts)
		if err != nil {
			s.refuseVault(w, http.StatusInternalServerError, "InternalServerError", "the key does not sign", "")
			return
		}
		writeJSON(w, http.StatusOK, map[string]any{
			"kid": s.keyID(found.Name) + "/" + found.id, "value": base64.RawURLEncoding.EncodeToString(signature),
		})
	}
}

func isRSA(v keyVersion) bool {
	_, ec := v.Private.(*ecdsa.PrivateKey)
	return !ec
}
