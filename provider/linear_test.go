package provider_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
	"github.com/knadh/koanf/v2"

	"github.com/portnokkel/portnokkel/provider"
)

// sizes is what each benchmark here is run with. Each is meant to take about ten
// times as long for the second as for the first, and under a second.
var sizes = []int{2_000, 20_000}

func benchmark(b *testing.B, prepare func(n int) (run func() error)) {
	b.Helper()
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			run := prepare(n)
			for b.Loop() {
				if err := run(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// silent is an AppConfig that sees nothing but these files, and logs nothing.
func silent(b *testing.B, f files) provider.AppConfig {
	b.Helper()
	app, _ := hermetic(b, f)
	app.Logger = slog.New(slog.DiscardHandler)
	return app
}

// Two files with the same keys of one section in another case.
func BenchmarkKeysOfOneSection(b *testing.B) {
	benchmark(b, func(n int) func() error {
		var keys strings.Builder
		for i := range n {
			fmt.Fprintf(&keys, `"Key%d": "value",`, i)
		}
		file := `{"Section": {` + keys.String() + `}}`
		app := silent(b, files{"appsettings.json": file, "appsettings.Production.json": strings.ToUpper(file)})
		return func() error {
			k, err := provider.LoadAppConfig(app)
			if err != nil {
				return err
			}
			section, err := provider.Section(k, "section")
			if err == nil && len(section) != n {
				err = fmt.Errorf("got %d keys, want %d", len(section), n)
			}
			return err
		}
	})
}

func BenchmarkVariables(b *testing.B) {
	benchmark(b, func(n int) func() error {
		app := silent(b, files{"appsettings.json": `{"Section": {"Key0": "file"}, "List": ["a"]}`})
		environ := make([]string, 0, n)
		for i := range n / 2 {
			environ = append(environ, fmt.Sprintf("SECTION__KEY%d=value", i), fmt.Sprintf("LIST__X%d=does not fit", i))
		}
		app.Environ = list(environ...)
		return func() error {
			_, err := provider.LoadAppConfig(app)
			return err
		}
	})
}

// instant is a vault without a network: each secret's value is its name.
type instant struct{ *kvFake }

func (instant) GetSecret(_ context.Context, name, _ string, _ *azsecrets.GetSecretOptions) (azsecrets.GetSecretResponse, error) {
	return azsecrets.GetSecretResponse{Secret: azsecrets.Secret{Value: &name}}, nil
}

// Half as many secrets as the size, below one section.
func BenchmarkNamesOfSecrets(b *testing.B) {
	benchmark(b, func(n int) func() error {
		fake := &kvFake{}
		for i := range n / 2 {
			fake.secrets = append(fake.secrets, kvSecret{name: fmt.Sprintf("Section--Key%d", i)})
		}
		return func() error {
			vault, err := provider.KeyVaultWithClient(instant{fake}, provider.Config{Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				return err
			}
			return koanf.New(":").Load(vault, nil, koanf.WithMergeFunc(provider.Merge))
		}
	})
}
