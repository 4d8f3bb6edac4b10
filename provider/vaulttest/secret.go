package vaulttest

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// maxValue is the largest value that Key Vault stores.
const maxValue = 25 * 1024

var secretName = regexp.MustCompile(`^[0-9A-Za-z-]{1,127}$`)

// Secret is one version of a secret. Only Name is needed.
type Secret struct {
	Name  string
	Value string
	// Disabled secrets are listed, and getting one is answered 403 SecretDisabled.
	Disabled bool
	// NotBefore and Expires are sent in whole seconds and left out when zero. As in
	// Azure they are information: a secret outside them can be read.
	NotBefore, Expires time.Time
	// Created and Updated are sent in whole seconds. Zero means now.
	Created, Updated time.Time
	ContentType      string
	Tags             map[string]string
	// Managed marks the secret behind a certificate.
	Managed bool
}

// secret is a name with its versions, oldest first.
type secret struct {
	name     string // as it was spelt first
	versions []version
}

func (s *secret) latest() version { return s.versions[len(s.versions)-1] }

type version struct {
	Secret
	id string // 32 hexadecimal digits
}

// Set stores an enabled secret, or a new version of one that exists.
func (s *Server) Set(name, value string) { s.SetSecret(Secret{Name: name, Value: value}) }

// SetSecret stores a secret, or a new version of one that exists. Names are
// compared without case. A secret keeps the spelling it was created with.
//
// Storing what Key Vault would not take is a mistake in the test: a name that is
// not 1 to 127 letters, digits and dashes, or a value over 25 KB. The vault then
// answers 400 to everything and says why.
func (s *Server) SetSecret(sec Secret) {
	if s == nil {
		return
	}
	if !secretName.MatchString(sec.Name) {
		s.misused(fmt.Sprintf("secret name %q is not 1 to 127 of 0-9, A-Z, a-z and -", sec.Name))
		return
	}
	if len(sec.Value) > maxValue {
		s.misused(fmt.Sprintf("the value of secret %q is over %d bytes", sec.Name, maxValue))
		return
	}
	now := s.now()
	if sec.Created.IsZero() {
		sec.Created = now
	}
	if sec.Updated.IsZero() {
		sec.Updated = now
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.secrets == nil {
		s.secrets = map[string]*secret{}
	}
	key := strings.ToLower(sec.Name)
	if s.secrets[key] == nil {
		s.secrets[key] = &secret{name: sec.Name}
	}
	stored := s.secrets[key]
	sec.Name = stored.name
	stored.versions = append(stored.versions, version{Secret: sec, id: newVersionID()})
}

// newVersionID is random: as in Azure, the order of ids is not the order of time.
func newVersionID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never returns an error
	return hex.EncodeToString(id[:])
}

func (s *Server) misused(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.misuse = why
}

// Delete removes a secret with all of its versions, if it is there. From then on
// it is not listed, and getting it is answered 404 SecretNotFound.
func (s *Server) Delete(name string) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.secrets, strings.ToLower(name))
}

// find returns a version of a secret, the latest if id is "".
func (s *Server) find(name, id string) (version, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.secrets[strings.ToLower(name)]
	if found == nil {
		return version{}, false
	}
	if id == "" {
		return found.latest(), true
	}
	i := slices.IndexFunc(found.versions, func(v version) bool { return strings.EqualFold(v.id, id) })
	if i < 0 {
		return version{}, false
	}
	return found.versions[i], true
}

// properties is what listing and getting have in common.
func (v version) properties(id string) map[string]any {
	out := map[string]any{
		"id":         id,
		"attributes": attributes(v.Disabled, v.Created, v.Updated, v.NotBefore, v.Expires),
		"tags":       tagsOf(v.Tags),
	}
	if v.ContentType != "" {
		out["contentType"] = v.ContentType
	}
	if v.Managed {
		out["managed"] = true
	}
	return out
}
