package main

import (
	"embed"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"

	"github.com/knadh/koanf/v2"

	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
	"github.com/portnokkel/portnokkel/provider"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

const demoNotice = "DEMO: nothing is configured, so stand-ins on this machine play Key Vault, Entra, Maskinporten, Altinn and the API."

//go:embed demo/appsettings.json
var demoFiles embed.FS

// demo is the servers that a service meets, in this process. All that the
// application does with them is what it does in production.
type demo struct {
	vault  *vaulttest.Server
	porten *maskinportentest.Server
}

// demoIfNothingIsConfigured starts the demo where there is no settings file, no
// environment's name, no argument and no section that the application reads. The
// slightest sign of a configuration prevents it: a service that lacks some of its
// settings must fail, not talk to stand-ins.
func demoIfNothingIsConfigured(app provider.AppConfig) (*demo, error) {
	var origins provider.Origins
	app.Origins, app.Logger = &origins, slog.New(slog.DiscardHandler)
	k, err := provider.LoadAppConfig(app)
	if err != nil {
		return nil, err
	}
	if len(app.Args) > 0 || namesEnvironment(app.Environ) || hasOwnKeys(k) {
		return nil, nil
	}
	for _, layer := range origins.Layers() {
		if layer.Status != provider.StatusMissing && layer.Name != "environment" {
			return nil, nil
		}
	}
	return startDemo(), nil
}

func namesEnvironment(environ []string) bool {
	for _, pair := range environ {
		name, _, _ := strings.Cut(pair, "=")
		switch name {
		case "APP_ENVIRONMENT", "ASPNETCORE_ENVIRONMENT", "DOTNET_ENVIRONMENT":
			return true
		}
	}
	return false
}

// hasOwnKeys reports whether any setting is the application's, rather than one of
// the environment's other variables.
func hasOwnKeys(k *koanf.Koanf) bool {
	for key := range k.Raw() {
		key = strings.ToLower(key)
		for _, prefix := range []string{"maskinporten", "kvsetting", "exampleapp"} {
			if strings.HasPrefix(key, prefix) {
				return true
			}
		}
	}
	return false
}

func startDemo() *demo {
	d := &demo{
		vault: vaulttest.NewServer(),
		porten: maskinportentest.NewServer(
			maskinportentest.WithIssuer("https://test.maskinporten.no/"),
			maskinportentest.WithPlatform("https://platform.tt02.altinn.no")),
	}
	d.vault.Set("MaskinportenSettings--ClientId", d.porten.ClientID())
	d.vault.Set("MaskinportenSettings--EncodedJwk", d.porten.EncodedJWK())
	d.porten.Handle("GET /storage/api/v1/instances", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintln(w, `{"instances":[{"id":"50001/demo"}]}`)
	}), "altinn:serviceowner/instances.read")
	return d
}

// Close ends the stand-ins.
func (d *demo) Close() {
	d.vault.Close()
	d.porten.Close()
}

// setup points the application to the stand-ins: settings say where the vault is,
// and options say how to reach servers that only this process knows.
func (d *demo) setup() setup {
	files, _ := fs.Sub(demoFiles, "demo") // fails for an invalid path only
	environ := make([]string, 0, 4)
	for key, value := range d.vault.KVSetting() {
		environ = append(environ, fmt.Sprintf("kvSetting__%s=%v", key, value))
	}
	return setup{
		app: provider.AppConfig{FS: files, Environment: "Development", Environ: environ},
		vault: provider.Config{
			ClientOptions:     d.vault.ClientOptions(),
			CredentialOptions: d.vault.CredentialOptions(),
		},
		client: []httpclient.Option{
			httpclient.WithTokenTransport(d.porten.Transport()),
			httpclient.WithBaseTransport(d.porten.Transport()),
		},
	}
}
