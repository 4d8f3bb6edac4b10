package provider_test

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/knadh/koanf/v2"

	"github.com/portnokkel/portnokkel/provider"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

// A service that takes over changed secrets without a restart: when the vault reports a
// change, a new koanf is loaded and put in the place of the old one. A koanf that others
// read must not be loaded into.
func ExampleVault_Watch() {
	srv := vaulttest.NewServer(vaulttest.WithSecrets(map[string]string{"Saksvarsel--Interval": "5m"}))
	defer srv.Close()
	cred, err := srv.Credential()
	if err != nil {
		fmt.Println(err)
		return
	}
	vault, err := provider.KeyVault(provider.Config{
		VaultURL:      srv.VaultURL(),
		Credential:    cred.GetToken,
		ClientOptions: srv.ClientOptions(),
		Sections:      []string{"Saksvarsel"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	var settings atomic.Pointer[koanf.Koanf]
	reload := func() error {
		k := koanf.New(":")
		if err := k.Load(vault, nil); err != nil {
			return err
		}
		settings.Store(k)
		return nil
	}
	if err := reload(); err != nil {
		fmt.Println(err)
		return
	}
	srv.Set("Saksvarsel--Queue", "20") // somebody changes the vault

	reloaded := make(chan struct{}, 1)
	err = vault.Watch(func(event any, err error) {
		if err == nil {
			changed := event.(provider.VaultEvent)
			fmt.Println("added", changed.Added, "changed", changed.Changed)
			err = reload()
		}
		if err != nil {
			fmt.Println(err) // the settings in force stay
			return
		}
		reloaded <- struct{}{}
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	<-reloaded
	if err := vault.Unwatch(); err != nil {
		fmt.Println(err)
	}
	fmt.Println(settings.Load().String("Saksvarsel:Queue"))
	// Output:
	// added [Saksvarsel--Queue] changed []
	// 20
}

// The rotation of a key: the new version first, and the previous one while the new one
// may not be known everywhere yet.
func ExampleVault_Versions() {
	srv := vaulttest.NewServer(vaulttest.WithSecrets(map[string]string{"Signing": "key of last year"}))
	defer srv.Close()
	cred, err := srv.Credential()
	if err != nil {
		fmt.Println(err)
		return
	}
	vault, err := provider.KeyVault(provider.Config{
		VaultURL:      srv.VaultURL(),
		Credential:    cred.GetToken,
		ClientOptions: srv.ClientOptions(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	versions, err := vault.Versions(context.Background(), "Signing", 2)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, version := range versions {
		fmt.Println(version.Value(), "expires:", !version.Expires.IsZero())
	}
	// Output:
	// key of last year expires: false
}
