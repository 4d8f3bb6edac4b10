package vaulttest

import (
	"fmt"
	"regexp"
	"sort"
	"strings"
	"time"
)

// maxValue is the largest value that Key Vault stores.
const maxValue = 25 * 1024

var secretName = regexp.MustCompile(`^[0-9A-Za-z-]{1,127}$`)

// Secret is what the vault knows of one secret. Only Name is needed; zero times
// are left out of the answers.
type Secret struct {
	Name  string
	Value string
	// Enabled is the attribute as it is sent. Nil leaves it out, which means
	// enabled, unless Disabled is set.
	Enabled *bool
	// Disabled is short for an Enabled that points to false.
	Disabled bool
	// NotBefore, Expires, Created and Updated are sent in whole seconds.
	NotBefore, Expires, Created, Updated time.Time
	ContentType                          string
	Tags                                 map[string]string
	// Managed marks the secret behind a certificate.
	Managed bool
}

type stored struct {
	Secret
	version string
}

func (s stored) disabled() bool { return s.Disabled || (s.Enabled != nil && !*s.Enabled) }

// Set stores an enabled secret, or a new version of one that exists.
func (s *Server) Set(name, value string) {
	enabled := true
	s.SetSecret(Secret{Name: name, Value: value, Enabled: &enabled})
}

// SetSecret stores a secret, or a new version of one that exists. Names are
// compared without case; a secret keeps the spelling it was created with.
//
// A secret that Key Vault would not take (a name that is not 1 to 127 letters,
// digits and dashes, or a value over 25 KB) is a mistake in the test: the vault
// then answers 400 to everything and says why.
func (s *Server) SetSecret(secret Secret) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !secretName.MatchString(secret.Name) {
		s.misuse = fmt.Sprintf("secret name %q is not 1 to 127 of 0-9, A-Z, a-z and -", secret.Name)
		return
	}
	if len(secret.Value) > maxValue {
		s.misuse = fmt.Sprintf("the value of secret %q is over %d bytes", secret.Name, maxValue)
		return
	}
	key := strings.ToLower(secret.Name)
	if old, ok := s.secrets[key]; ok {
		secret.Name = old.Name
	}
	s.versions++
	s.secrets[key] = stored{Secret: secret, version: fmt.Sprintf("%032x", s.versions)}
}

// Delete removes a secret, if it is there.
func (s *Server) Delete(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.secrets, strings.ToLower(name))
}

// page returns up to limit secrets whose lower-case names come after the given
// one, and the name to go on after, "" when there are no more.
func (s *Server) page(after string, limit int) (page []stored, next string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for name := range s.secrets {
		if name > after {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	if len(names) > limit {
		names = names[:limit]
		next = names[limit-1]
	}
	for _, name := range names {
		page = append(page, s.secrets[name])
	}
	return page, next
}

func (s *Server) find(name string) (stored, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	secret, ok := s.secrets[strings.ToLower(name)]
	return secret, ok
}
