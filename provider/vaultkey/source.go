package vaultkey

import (
	"context"
	"crypto"
	"errors"
	"fmt"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"

	"github.com/portnokkel/portnokkel/provider/internal/azure"
)

// Source is one key in a vault, with its versions. Make it with [Open]. The zero Source
// gives an error.
type Source struct {
	at string
	// vault is a function, because reflection reads fields and calls nothing.
	vault func() *vault
}

// Open makes a source of the key that cfg names. It checks cfg, reports all that is
// wrong at once, and sends nothing.
func Open(cfg Config) (*Source, error) {
	cfg, at, err := cfg.checked()
	if err != nil {
		return nil, err
	}
	way, cred := azure.Keep(azure.Options{
		VaultURL: at.vault, Credential: credential(cfg.Credential), Conns: connections, Setting: cfg.addressed(),
	}, &cfg.ClientOptions.ClientOptions)
	client, err := azkeys.NewClient(at.vault, cred, &cfg.ClientOptions)
	if err != nil {
		way.Close()
		return nil, fmt.Errorf("vaultkey: ClientOptions: %w", err)
	}
	v := &vault{cfg: cfg, at: at, way: way, client: client, warned: map[string]bool{}}
	return &Source{at: at.String(), vault: func() *vault { return v }}, nil
}

// Newest reads the newest versions of the key that can be used, at most n, newest
// first. It leaves out versions that are disabled, have expired or are not yet valid,
// and those that cannot sign for Maskinporten. If Config.Key names a version, it is
// that one. If no version can be used, it returns an error that says why.
//
// A version's public key never changes: it is read once. The first reading takes a
// request for the versions and one for each key, and each later one a request for the
// versions. A reading ends within [Config.Timeout].
func (s *Source) Newest(ctx context.Context, n int) ([]*Key, error) {
	switch {
	case s == nil || s.vault == nil:
		return nil, errors.New("vaultkey: the Source is nil or zero: make it with Open")
	case n < 1:
		return nil, fmt.Errorf("vaultkey: Newest was asked for %d keys: ask for 1 or more", n)
	}
	return s.vault().newest(ctx, n)
}

// Keys reads the newest n versions as [Source.Newest] does, and makes of each what a
// library signs with. For package httpclient:
//
//	keys, err := vaultkey.Keys(ctx, source, 2, httpclient.NewKey)
func Keys[K any](ctx context.Context, s *Source, n int, newKey func(signer crypto.Signer, keyID, algorithm string) (K, error)) ([]K, error) {
	if newKey == nil {
		return nil, errors.New("vaultkey: Keys was given no function that makes a key")
	}
	newest, err := s.Newest(ctx, n)
	if err != nil {
		return nil, err
	}
	var made []K
	for _, key := range newest {
		one, err := newKey(key, key.KeyID(), key.Algorithm())
		if err != nil {
			return nil, err
		}
		made = append(made, one)
	}
	return made, nil
}

// Close closes the connections to the vault, if they were made here. The keys of a
// closed source do not sign any more.
func (s *Source) Close() {
	if s != nil && s.vault != nil {
		s.vault().way.Close()
	}
}

// Format prints the key's address and nothing else of the source.
func (s *Source) Format(f fmt.State, _ rune) {
	if s == nil {
		s = &Source{}
	}
	_, _ = fmt.Fprintf(f, "vaultkey.Source(%s)", s.at)
}
