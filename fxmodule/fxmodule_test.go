package fxmodule_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"
	"go.uber.org/fx"
	"go.uber.org/fx/fxevent"
	"go.uber.org/fx/fxtest"
	"go.uber.org/goleak"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/fxmodule"
	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
	"github.com/portnokkel/portnokkel/internal/logtest"
	"github.com/portnokkel/portnokkel/provider"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const scope = "altinn:serviceowner/instances.read"

// world is a vault, Maskinporten as the guide's ver2, and an app's settings.
type world struct {
	vault  *vaulttest.Server
	porten *maskinportentest.Server
	files  fstest.MapFS
	log    *logtest.Buffer
}

var testKey = sync.OnceValue(func() maskinportentest.Key { return maskinportentest.NewKey("for-tests-only") })

// newWorld has the guide's section, verbatim, and its two secrets in the vault.
func newWorld(t *testing.T) *world {
	t.Helper()
	guide, err := os.ReadFile("../testdata/appsettings/guide.json")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		vault: vaulttest.NewServer(),
		porten: maskinportentest.NewServer(maskinportentest.WithKey(testKey()),
			maskinportentest.WithIssuer("https://ver2.maskinporten.no/"), maskinportentest.WithPlatform("https://platform.tt02.altinn.no")),
		files: fstest.MapFS{"appsettings.json": {Data: guide}},
		log:   &logtest.Buffer{},
	}
	t.Cleanup(w.vault.Close)
	t.Cleanup(w.porten.Close)
	w.porten.Handle("/storage/api/v1/instances", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		token, _ := maskinportentest.TokenFrom(r.Context())
		fmt.Fprintf(rw, "altinn=%v client=%s", token.Altinn, token.ClientID)
	}))
	w.secrets("MaskinportenSettings", w.porten.ClientID())
	w.file(t, "appsettings.Production.json", map[string]any{"kvSetting": w.vault.KVSetting()})
	return w
}

// secrets stores a client's two secrets under a section's name.
func (w *world) secrets(section, clientID string) {
	w.vault.Set(section+"--ClientId", clientID)
	w.vault.Set(section+"--EncodedJwk", testKey().EncodedJWK())
}

func (w *world) file(t *testing.T, name string, settings map[string]any) {
	t.Helper()
	data, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	w.files[name] = &fstest.MapFile{Data: data}
}

// config reads the world's settings; changes are made to the vault's Config.
func (w *world) config(changes ...func(*provider.ConnectConfig)) fx.Option {
	kv := provider.ConnectConfig{Config: provider.Config{ClientOptions: w.vault.ClientOptions()}, CredentialOptions: w.vault.CredentialOptions()}
	kv.ClientOptions.Retry.RetryDelay = time.Millisecond
	kv.CredentialOptions.Retry.RetryDelay = time.Millisecond
	for _, change := range changes {
		change(&kv)
	}
	return fxmodule.Config(fxmodule.AppConfig(provider.AppConfig{FS: w.files, Environ: func() []string { return nil }, MountedFile: "no-such-file"}), fxmodule.KeyVault(kv))
}

// servers sends what a client sends to the world's test servers.
func (w *world) servers() fxmodule.Option {
	return fxmodule.ClientOptions(httpclient.WithTokenTransport(w.porten.Transport()), httpclient.WithBaseTransport(w.porten.Transport()))
}

// app has the world's logger for the graph and for fx's own events.
func (w *world) app(opts ...fx.Option) []fx.Option {
	return append([]fx.Option{
		fx.Supply(w.log.Logger()),
		fx.WithLogger(func() fxevent.Logger { return &fxevent.ConsoleLogger{W: w.log} }),
	}, opts...)
}

func get(t *testing.T, client *http.Client) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://platform.tt02.altinn.no/storage/api/v1/instances", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

type altinn struct {
	fx.In

	Client *http.Client            `name:"altinn"`
	Source *httpclient.TokenSource `name:"altinn"`
}

// The whole way: the guide's appsettings.json and a vault become a named client
// whose request the API accepts.
func TestWholeWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var got altinn
	app := fxtest.New(t, w.app(w.config(), fxmodule.Module("altinn", w.servers()), fx.Invoke(func(p altinn) { got = p }))...)
	app.RequireStart()
	if n := w.porten.Stats().TokenRequests; n != 0 {
		t.Errorf("got %d token requests before the first use, want 0", n)
	}
	status, body := get(t, got.Client)
	if want := "altinn=true client=" + w.porten.ClientID(); status != 200 || body != want {
		t.Errorf("got %d %q, want %q", status, body, want)
	}
	token, err := got.Source.Token(t.Context())
	if err != nil || !token.IsAltinn() || token.Lifetime() != 30*time.Minute {
		t.Errorf("got %v, %v, want an Altinn token of 30 minutes", token, err)
	}
	app.RequireStop()
	if _, err := got.Source.Token(t.Context()); !errors.Is(err, httpclient.ErrClosed) {
		t.Errorf("after the stop: got %v, want ErrClosed", err)
	}

	log := w.log.String()
	if !strings.Contains(log, `Environment (appsettings.json) is \"ver2\", which was shut down on 2024-06-10: use \"test\" instead`) {
		t.Error("got no warning about ver2, want one")
	}
	for _, secret := range []string{testKey().EncodedJWK(), w.vault.ClientSecret(), token.AccessToken()} {
		if strings.Contains(log, secret) {
			t.Error("a secret was logged")
		}
	}
}

// The graph's Origins are those of the vault's config, if it has some.
func TestOriginsOfTheVaultsConfig(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var own provider.Origins
	var got *provider.Origins
	app := fxtest.New(t, w.app(w.config(func(c *provider.ConnectConfig) { c.Origins = &own }), fx.Populate(&got))...)
	app.RequireStart()
	app.RequireStop()
	if source := own.Of("MaskinportenSettings:ClientId").Source; got != &own || !strings.HasPrefix(source, "secret ") {
		t.Errorf("got %p, want %p; ClientId is from %q", got, &own, source)
	}
}

// Two clients, each with a section, settings and secrets of its own.
func TestTwoClients(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.porten.AddClient(maskinportentest.Client{ID: "ks-client", Keys: []maskinportentest.Key{testKey()}, Scopes: []string{"ks:fiks"}, OrgNo: "974760673"})
	w.secrets("KsSettings", "ks-client")
	w.file(t, "appsettings.Production.json", map[string]any{
		"kvSetting":  w.vault.KVSetting(),
		"KsSettings": map[string]any{"Environment": "ver2", "Scope": "ks:fiks"},
	})
	var both struct {
		fx.In

		Altinn *http.Client `name:"altinn"`
		KS     *http.Client `name:"ks"`
	}
	app := fxtest.New(t, w.app(w.config(),
		fxmodule.Module("altinn", w.servers()),
		fxmodule.Module("ks", w.servers(), fxmodule.Section("kssettings")),
		fx.Populate(&both))...)
	app.RequireStart()
	defer app.RequireStop()
	if _, body := get(t, both.Altinn); body != "altinn=true client="+w.porten.ClientID() {
		t.Errorf("altinn: got %q, want an Altinn token of the client", body)
	}
	if _, body := get(t, both.KS); body != "altinn=false client=ks-client" {
		t.Errorf("ks: got %q, want a Maskinporten token of ks-client", body)
	}
	if n := w.vault.Stats().Lists; n != 1 {
		t.Errorf("got %d listings of the vault, want 1", n)
	}
}

func TestGraphIsValid(t *testing.T) {
	t.Parallel()
	if err := fx.ValidateApp(fx.NopLogger, fxmodule.Config(), fxmodule.Module("altinn"), fxmodule.Module("ks", fxmodule.Section("KsSettings")),
		fx.Invoke(func(altinn) {})); err != nil {
		t.Error(err)
	}
	err := fx.ValidateApp(fx.NopLogger, fxmodule.Module("altinn"), fx.Invoke(func(altinn) {}))
	if err == nil || !strings.Contains(err.Error(), "missing type: *koanf.Koanf") {
		t.Errorf("without a configuration: got %v, want the koanf missing", err)
	}
	err = fx.ValidateApp(fx.NopLogger, fxmodule.Config(), fxmodule.Module("other"), fx.Invoke(func(altinn) {}))
	if err == nil || !strings.Contains(err.Error(), `*http.Client[name="altinn"]`) {
		t.Errorf("with another name: got %v, want the client missing", err)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "  "} {
		err := fx.New(fx.NopLogger, fxmodule.Module(name)).Err()
		if err == nil || err.Error() != `fxmodule: Module needs a name, such as "altinn", under which it provides its client` {
			t.Errorf("%q: got %v, want that a name is needed", name, err)
		}
	}
	err := fx.New(fx.NopLogger, fxmodule.Config(), fxmodule.Module("altinn"), fxmodule.Module("altinn")).Err()
	if err == nil || !strings.Contains(err.Error(), `cannot provide *http.Client[name="altinn"] from [0]: already provided by "github.com/portnokkel/portnokkel/fxmodule".newClient`) {
		t.Errorf("twice the same: got %v, want the second refused", err)
	}
	err = fx.New(fx.NopLogger, fxmodule.Module("a`b")).Err()
	if err == nil || err.Error() != "fxmodule: the name \"a`b\" holds a backquote, which a field tag cannot" {
		t.Errorf("a backquote: got %v, want it refused", err)
	}
	err = fx.New(fx.NopLogger, fxmodule.Module("altinn", nil, fxmodule.Section(" "))).Err()
	if err == nil || err.Error() != `fxmodule: client "altinn": Section needs a name, such as "MaskinportenSettings"` {
		t.Errorf("a blank section: got %v, want it refused", err)
	}
	// Any other name will do.
	odd := "a \"b\" ø"
	var client *http.Client
	k := koanf.New(":")
	err = fx.New(fx.NopLogger, fx.Supply(k), fxmodule.Module(odd, fxmodule.EditSettings(complete)),
		fx.Invoke(fx.Annotate(func(c *http.Client) { client = c }, fx.ParamTags(fmt.Sprintf("name:%q", odd))))).Err()
	if err != nil || client == nil {
		t.Errorf("an odd name: got %v, want a client", err)
	}
}

// complete makes settings that need no configuration.
func complete(s *httpclient.MaskinportenSettings) {
	s.Environment, s.ClientID, s.Scope, s.EncodedJWK = "test", "in-code", scope, httpclient.NewSecret(testKey().EncodedJWK())
}

func TestEditSettings(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var got altinn
	app := fxtest.New(t, w.app(w.config(), fxmodule.Module("altinn", w.servers(), fxmodule.EditSettings(func(s *httpclient.MaskinportenSettings) {
		if s.ClientID != w.porten.ClientID() {
			t.Errorf("got the client %q, want the vault's: edits come later", s.ClientID)
		}
		s.ExchangeToAltinnToken = false
	}), fxmodule.EditSettings(func(s *httpclient.MaskinportenSettings) {
		if s.ExchangeToAltinnToken {
			t.Error("got the edit before lost, want both applied")
		}
	})), fx.Populate(&got))...)
	app.RequireStart()
	defer app.RequireStop()
	if _, body := get(t, got.Client); !strings.HasPrefix(body, "altinn=false") {
		t.Errorf("got %q, want a Maskinporten token", body)
	}
}

// A client that is not asked for, or that a test replaces, reads nothing.
func TestUnusedCostsNothing(t *testing.T) {
	t.Parallel()
	for name, opt := range map[string]fx.Option{
		"unused": fx.Options(),
		"replaced": fx.Options(
			fx.Replace(fx.Annotate(&http.Client{Timeout: time.Hour}, fx.ResultTags(`name:"altinn"`))),
			fx.Invoke(fx.Annotate(func(c *http.Client) error {
				if c.Timeout != time.Hour {
					return errors.New("not the replacement")
				}
				return nil
			}, fx.ParamTags(`name:"altinn"`))),
		),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.files["appsettings.json"] = &fstest.MapFile{Data: []byte("not JSON")}
			app := fxtest.New(t, w.app(w.config(), fxmodule.Module("altinn", w.servers()), opt)...)
			app.RequireStart().RequireStop()
			if s := w.vault.Stats(); s.Challenges != 0 {
				t.Errorf("got %+v, want no request", s)
			}
		})
	}
}

func TestWarmUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var got altinn
	app := fxtest.New(t, w.app(w.config(), fxmodule.Module("altinn", w.servers(), fxmodule.WarmUp()), fx.Populate(&got))...)
	app.RequireStart()
	if s := w.porten.Stats(); s.TokenRequests != 1 || s.Exchanges != 1 {
		t.Errorf("got %+v, want one token request and one exchange", s)
	}
	app.RequireStop()

	w.porten.Faults.Add(faulttest.Fault{Status: 400, Times: -1, Body: `{"error":"invalid_scope"}`})
	failing := fx.New(w.app(w.config(), fxmodule.Module("altinn", w.servers(), fxmodule.WarmUp()), fx.Populate(&got))...)
	if err := failing.Start(context.Background()); !errors.Is(err, httpclient.ErrScopeNotGranted) || !strings.Contains(err.Error(), `fxmodule: client "altinn": first token: `) {
		t.Errorf("got %v, want the first token's refusal", err)
	}
	if err := failing.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

// The context of the start bounds the first token.
func TestWarmUpIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.porten.Faults.Add(faulttest.Fault{Hang: true, Times: -1})
	var got altinn
	app := fx.New(w.app(w.config(), fxmodule.Module("altinn", w.servers(), fxmodule.WarmUp()), fx.Populate(&got))...)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := app.Start(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the deadline", err)
	}
	got.Source.Close() // fx runs no stop hook with a context that has ended
}

// A certificate's file is found beside the settings file that names it.
func TestFileBesideTheSettings(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	settings := `{"Clients": {"Altinn": {"Environment": "test", "ClientId": "id", "Scope": "s", "CertificatePkcs12Path": "client.p12"}}}`
	for name, content := range map[string]string{"appsettings.json": settings, "client.p12": "not an archive"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	err := fx.New(fx.NopLogger, fxmodule.Config(fxmodule.AppConfig(provider.AppConfig{Dir: dir, Environ: func() []string { return nil }, MountedFile: "none"})),
		fxmodule.Module("altinn", fxmodule.Section("clients:altinn")), fx.Invoke(func(altinn) {})).Err()
	// It was found, and read.
	if err == nil || !strings.Contains(err.Error(), "CertificatePkcs12Path (appsettings.json) is not a PKCS#12 archive") {
		t.Errorf("got %v, want the archive found and refused", err)
	}
}

// What is not a section is an error, with edits or without.
func TestWhatIsNotASection(t *testing.T) {
	t.Parallel()
	k := koanf.New(":")
	if err := k.Set("MaskinportenSettings", "text"); err != nil {
		t.Fatal(err)
	}
	err := fx.New(fx.NopLogger, fx.Supply(k), fxmodule.Module("altinn", fxmodule.EditSettings(complete)), fx.Invoke(func(altinn) {})).Err()
	if err == nil || !strings.Contains(err.Error(), "set keys below it - a single value is there") {
		t.Errorf("got %v, want that a single value is there", err)
	}
}

// ClientOptions add up, and the graph's logger reaches the vault's part too.
func TestOptionsAddUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.vault.SetSecret(vaulttest.Secret{Name: "Old", Value: "x", Expires: time.Now().Add(-time.Hour)})
	var got altinn
	app := fxtest.New(t, w.app(w.config(), fxmodule.Module("altinn",
		fxmodule.ClientOptions(httpclient.WithTokenTransport(w.porten.Transport())),
		fxmodule.ClientOptions(httpclient.WithBaseTransport(w.porten.Transport()))), fx.Populate(&got))...)
	app.RequireStart()
	defer app.RequireStop()
	if status, _ := get(t, got.Client); status != 200 {
		t.Errorf("got %d, want 200", status)
	}
	if !strings.Contains(w.log.String(), "the secret has expired") {
		t.Errorf("got the log, want a warning of the expired secret:\n%s", w.log.String())
	}
}

// The graph's own koanf, without Config, and the default logger.
func TestOwnKoanf(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	k := koanf.New(".")
	section := w.porten.Section()
	section["Unknown"] = 1
	if err := k.Load(confmap.Provider(map[string]any{"clients": map[string]any{"altinn": section}}, ""), nil); err != nil {
		t.Fatal(err)
	}
	var got altinn
	app := fxtest.New(t, fx.NopLogger, fx.Supply(k), fxmodule.Module("altinn", w.servers(), fxmodule.Section("Clients.Altinn")), fx.Populate(&got))
	app.RequireStart()
	defer app.RequireStop()
	if status, _ := get(t, got.Client); status != 200 {
		t.Errorf("got %d, want 200", status)
	}
}

func TestUnknownSettingsAreWarnedAbout(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.file(t, "appsettings.Production.json", map[string]any{"kvSetting": w.vault.KVSetting(), "MaskinportenSettings": map[string]any{"EnableDebugLogg": true}})
	var got altinn
	fxtest.New(t, w.app(w.config(), fxmodule.Module("altinn", w.servers()), fx.Populate(&got))...).RequireStart().RequireStop()
	if want := `httpclient: EnableDebugLogg (appsettings.Production.json): unknown setting, ignored; did you mean EnableDebugLog?" client_id=`; !strings.Contains(w.log.String(), want) {
		t.Errorf("got the log, want %s:\n%s", want, w.log.String())
	}
}

// What a user reads when something is wrong, in full: one error, the setting,
// the cure, where it was looked for, and no secret.
func TestBadInput(t *testing.T) {
	t.Parallel()
	const looked = "settings read from appsettings.json, appsettings.Production.json; not found: no-such-file"
	cases := []struct {
		name   string
		change func(t *testing.T, w *world)
		vault  func(*provider.ConnectConfig)
		want   string // %V is the vault's address
	}{
		{
			name:   "no file at all",
			change: func(_ *testing.T, w *world) { clear(w.files) },
			want: `fxmodule: client "altinn" from section MaskinportenSettings: provider: section "MaskinportenSettings": no such section: add it to the settings, or name another with fxmodule.Section` + "\n" +
				"no settings read; not found: appsettings.json, appsettings.Production.json, no-such-file\n" +
				"no Key Vault connected: kvSetting lacks ClientId, TenantId, ClientSecret, SecretUri",
		},
		{
			name: "malformed JSON",
			change: func(_ *testing.T, w *world) {
				w.files["appsettings.json"] = &fstest.MapFile{Data: []byte("{\n  \"MaskinportenSettings\": { \"ClientId\": CANARY }\n}")}
			},
			want: "fxmodule: configuration: provider: appsettings.json: line 2, column 41: not a valid value",
		},
		{
			name: "no section",
			change: func(_ *testing.T, w *world) {
				w.files["appsettings.json"] = &fstest.MapFile{Data: []byte(`{"Logging": {}}`)}
				w.vault.Delete("MaskinportenSettings--ClientId")
				w.vault.Delete("MaskinportenSettings--EncodedJwk")
			},
			want: `fxmodule: client "altinn" from section MaskinportenSettings: provider: section "MaskinportenSettings": no such section: add it to the settings, or name another with fxmodule.Section` + "\n" + looked + "\nKey Vault connected: %V",
		},
		{
			name:   "EncodedJwk is not base64",
			change: func(_ *testing.T, w *world) { w.vault.Set("MaskinportenSettings--EncodedJwk", "%CANARY%") },
			want:   `fxmodule: client "altinn" from section MaskinportenSettings: httpclient: EncodedJwk (secret MaskinportenSettings--EncodedJwk of %V) is not base64: set it to the base64 of the client's private JWK`,
		},
		{
			name:   "EncodedJwk is not JSON",
			change: func(_ *testing.T, w *world) { w.vault.Set("MaskinportenSettings--EncodedJwk", "Q0FOQVJZ") },
			want:   `fxmodule: client "altinn" from section MaskinportenSettings: httpclient: EncodedJwk (secret MaskinportenSettings--EncodedJwk of %V) is base64, but not of JSON: set it to the base64 of the client's private JWK`,
		},
		{
			name: "EncodedJwk is public only",
			change: func(_ *testing.T, w *world) {
				w.vault.Set("MaskinportenSettings--EncodedJwk", `{"kty":"RSA","kid":"CANARY","e":"AQAB","n":"CANARY"}`)
			},
			want: `fxmodule: client "altinn" from section MaskinportenSettings: httpclient: EncodedJwk (secret MaskinportenSettings--EncodedJwk of %V) is a public key (member "d" is missing): export the private key`,
		},
		{
			name: "the vault was not connected",
			change: func(t *testing.T, w *world) {
				kv := w.vault.KVSetting()
				kv["ClientSecret"], kv["TenantId"] = "", nil
				w.file(t, "appsettings.Production.json", map[string]any{"kvSetting": kv})
			},
			want: `fxmodule: client "altinn" from section MaskinportenSettings: httpclient: ClientId (appsettings.json) is missing: set it to the client's id in Maskinporten - looked for variable MaskinportenSettings__ClientId, key MaskinportenSettings:ClientId and, with a vault, secret MaskinportenSettings--ClientId` + "\n" +
				"httpclient: EncodedJwk (appsettings.json) is missing: set it to the base64 of the client's private JWK (or set EncodedX509 or CertificatePkcs12Path) - looked for variable MaskinportenSettings__EncodedJwk, key MaskinportenSettings:EncodedJwk and, with a vault, secret MaskinportenSettings--EncodedJwk\n" +
				looked + "\nno Key Vault connected: kvSetting lacks TenantId, ClientSecret",
		},
		{
			name: "a wrong client secret",
			change: func(t *testing.T, w *world) {
				kv := w.vault.KVSetting()
				kv["ClientSecret"] = "CANARY"
				w.file(t, "appsettings.Production.json", map[string]any{"kvSetting": kv})
			},
			want: "fxmodule: configuration: provider: set kvSetting:ClientSecret (appsettings.Production.json) to the client secret's value, not its ID - " +
				"authenticate for %V as application " + (*vaulttest.Server)(nil).ClientID() + ": 401 AADSTS7000215: the client secret is wrong",
		},
		{
			name: "an unreachable vault",
			change: func(_ *testing.T, w *world) {
				w.vault.Faults.Add(faulttest.Fault{Hang: true, Times: -1})
			},
			vault: func(c *provider.ConnectConfig) { c.Timeout = 500 * time.Millisecond },
			want: "fxmodule: configuration: provider: check the egress rules, the firewall and the proxy, or raise Timeout - " +
				"list %V: no result within the Timeout of 500ms while waiting for the answer",
		},
		{
			name: "a setting of a wrong type",
			change: func(t *testing.T, w *world) {
				w.file(t, "appsettings.Production.json", map[string]any{"kvSetting": w.vault.KVSetting(), "MaskinportenSettings": map[string]any{"UseAltinnTestOrg": "CANARY"}})
			},
			want: `fxmodule: client "altinn" from section MaskinportenSettings: httpclient: UseAltinnTestOrg (appsettings.Production.json) is neither "true" nor "false"`,
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c.change(t, w)
			change := func(*provider.ConnectConfig) {}
			if c.vault != nil {
				change = c.vault
			}
			err := fx.New(w.app(w.config(change), fxmodule.Module("altinn", w.servers()), fx.Invoke(func(altinn) {}))...).Err()
			if err == nil {
				t.Fatal("got no error, want one")
			}
			want := strings.ReplaceAll(c.want, "%V", w.vault.VaultURL())
			if _, got, _ := strings.Cut(err.Error(), "fxmodule: "); "fxmodule: "+got != want {
				t.Error(cmp.Diff(want, "fxmodule: "+got))
			}
			if !strings.Contains(err.Error(), "portnokkel/fxmodule") {
				t.Errorf("got %v, want it to name our constructor", err)
			}
			if strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err)+w.log.String(), "CANARY") {
				t.Error("a secret is printed")
			}
		})
	}
}

// A token that is refused fails the call, with the setting and the cure.
func TestTokenRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.vault.Set("MaskinportenSettings--ClientId", "misspelt")
	var got altinn
	app := fxtest.New(t, w.app(w.config(), fxmodule.Module("altinn", w.servers()), fx.Populate(&got))...)
	app.RequireStart()
	defer app.RequireStop()
	_, err := got.Client.Get("https://platform.tt02.altinn.no/storage/api/v1/instances")
	want := `Get "https://platform.tt02.altinn.no/storage/api/v1/instances": httpclient: check ClientId (secret MaskinportenSettings--ClientId of ` + w.vault.VaultURL() +
		"): it is misspelt, or the client belongs to another environment than Environment (appsettings.json) - " +
		"token request of client misspelt at https://ver2.maskinporten.no/token: 401 invalid_client: "
	if !errors.Is(err, httpclient.ErrUnknownClient) || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want the sources of ClientId and Environment", err)
	}
}
