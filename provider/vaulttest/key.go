package vaulttest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"time"
)

// generatedBits is the size of a key that the server makes.
const generatedBits = 2048

// rsaOperations are what Key Vault lets an RSA key do unless its maker says otherwise.
var rsaOperations = []string{"encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey"}

// Key is one version of a key. Only Name is needed.
type Key struct {
	Name string
	// Private is the private key, an *rsa.PrivateKey of 2048, 3072 or 4096 bits or an
	// *ecdsa.PrivateKey. Nil makes an RSA key of 2048 bits, which takes a noticeable
	// part of a second.
	Private crypto.Signer
	// HSM makes the key's type "RSA-HSM" or "EC-HSM".
	HSM bool
	// Operations is what the key may be used for, such as "sign" and "verify". Nil is
	// all that a key of its type can do.
	Operations []string
	// Disabled versions are listed, and can be read. A signature with one is answered
	// 403 KeyDisabled.
	Disabled bool
	// NotBefore and Expires are sent in whole seconds and left out when zero. Outside
	// of them a signature is answered 403.
	NotBefore, Expires time.Time
	// Created and Updated are sent in whole seconds. Zero means now.
	Created, Updated time.Time
	Tags             map[string]string
	// Managed marks the key behind a certificate.
	Managed bool
}

// key is a name with its versions, oldest first.
type key struct {
	name     string // as it was spelt first
	versions []keyVersion
}

type keyVersion struct {
	Key
	id string // 32 hexadecimal digits
}

// CreateKey stores a key, or a new version of one that exists. It returns the
// version's id. Names are compared without case. A key keeps the spelling that it was
// created with.
//
// Storing what Key Vault would not take is a mistake in the test: a name that is not 1
// to 127 letters, digits and dashes, or a key of another kind or size. The vault then
// answers 400 to everything and says why.
func (s *Server) CreateKey(k Key) (version string) {
	if s == nil {
		return ""
	}
	if !secretName.MatchString(k.Name) {
		s.misused(fmt.Sprintf("key name %q is not 1 to 127 of 0-9, A-Z, a-z and -", k.Name))
		return ""
	}
	if k.Private == nil {
		// crypto/rand cannot fail, and 2048 bits are always allowed.
		k.Private, _ = rsa.GenerateKey(rand.Reader, generatedBits)
	}
	switch private := k.Private.(type) {
	case *rsa.PrivateKey:
		if bits := private.N.BitLen(); bits != 2048 && bits != 3072 && bits != 4096 {
			s.misused(fmt.Sprintf("key %q has %d bits, and not 2048, 3072 or 4096", k.Name, bits))
			return ""
		}
	case *ecdsa.PrivateKey:
	default:
		s.misused(fmt.Sprintf("key %q is a %T, and neither an *rsa.PrivateKey nor an *ecdsa.PrivateKey", k.Name, private))
		return ""
	}
	now := s.now()
	if k.Created.IsZero() {
		k.Created = now
	}
	if k.Updated.IsZero() {
		k.Updated = now
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys == nil {
		s.keys = map[string]*key{}
	}
	folded := strings.ToLower(k.Name)
	if s.keys[folded] == nil {
		s.keys[folded] = &key{name: k.Name}
	}
	stored := s.keys[folded]
	k.Name = stored.name
	version = newVersionID()
	stored.versions = append(stored.versions, keyVersion{Key: k, id: version})
	return version
}

// DisableKey disables a version of a key, if it is there. An empty version means the
// latest.
func (s *Server) DisableKey(name, version string) {
	if s == nil {
		return
	}
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if found := s.keys[strings.ToLower(name)].find(version); found != nil {
		found.Disabled, found.Updated = true, now
	}
}

// DeleteKey removes a key with all of its versions, if it is there. From then on it is
// answered 404 KeyNotFound.
func (s *Server) DeleteKey(name string) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.keys, strings.ToLower(name))
}

// find returns a version of a key, the latest if id is "". It is nil if there is none.
func (k *key) find(id string) *keyVersion {
	if k == nil {
		return nil
	}
	if id == "" {
		return &k.versions[len(k.versions)-1]
	}
	i := slices.IndexFunc(k.versions, func(v keyVersion) bool { return strings.EqualFold(v.id, id) })
	if i < 0 {
		return nil
	}
	return &k.versions[i]
}

// findKey returns a copy of a version of a key, the latest if id is "".
func (s *Server) findKey(name, id string) (keyVersion, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.keys[strings.ToLower(name)].find(id)
	if found == nil {
		return keyVersion{}, false
	}
	return *found, true
}

func (s *Server) keyID(name string) string { return s.VaultURL() + "/keys/" + name }

// kty is the key's type, as Key Vault names it.
func (v keyVersion) kty() string {
	kty := "RSA"
	if _, ec := v.Private.(*ecdsa.PrivateKey); ec {
		kty = "EC"
	}
	if v.HSM {
		kty += "-HSM"
	}
	return kty
}

// operations are what the key may be used for.
func (v keyVersion) operations() []string {
	if v.Operations != nil {
		return v.Operations
	}
	if _, ec := v.Private.(*ecdsa.PrivateKey); ec {
		return []string{"sign", "verify"}
	}
	return rsaOperations
}

// properties is an entry of a listing.
func (v keyVersion) properties(id string) map[string]any {
	out := map[string]any{"kid": id, "attributes": v.attributes(), "tags": tagsOf(v.Tags)}
	if v.Managed {
		out["managed"] = true
	}
	return out
}

// bundle is the answer to a read: the public key and what is known of it.
func (v keyVersion) bundle(id string) map[string]any {
	jwk := map[string]any{"kid": id, "kty": v.kty(), "key_ops": v.operations()}
	encode := func(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
	switch private := v.Private.(type) {
	case *rsa.PrivateKey:
		jwk["n"], jwk["e"] = encode(private.N.Bytes()), encode(big.NewInt(int64(private.E)).Bytes())
	case *ecdsa.PrivateKey:
		// An uncompressed point: 4, x, y.
		point, _ := private.PublicKey.Bytes() // fails for curves of the caller's own only
		half := len(point) / 2
		jwk["crv"], jwk["x"], jwk["y"] = private.Params().Name, encode(point[1:half+1]), encode(point[half+1:])
	}
	out := v.properties(id)
	delete(out, "kid")
	out["key"] = jwk
	return out
}

func (v keyVersion) attributes() map[string]any {
	a := attributes(v.Disabled, v.Created, v.Updated, v.NotBefore, v.Expires)
	a["exportable"] = false
	return a
}

// attributes are those that secrets and keys have.
func attributes(disabled bool, created, updated, notBefore, expires time.Time) map[string]any {
	a := map[string]any{
		"enabled":         !disabled,
		"created":         created.Unix(),
		"updated":         updated.Unix(),
		"recoveryLevel":   "Recoverable+Purgeable",
		"recoverableDays": 90,
	}
	for name, at := range map[string]time.Time{"nbf": notBefore, "exp": expires} {
		if !at.IsZero() {
			a[name] = at.Unix()
		}
	}
	return a
}

// tagsOf is never null, as in Azure.
func tagsOf(tags map[string]string) map[string]string {
	out := map[string]string{}
	maps.Copy(out, tags)
	return out
}
