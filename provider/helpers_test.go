package provider_test

import (
	"maps"
	"testing"
	"testing/fstest"
	"time"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"

	"github.com/portnokkel/portnokkel/internal/logtest"
	"github.com/portnokkel/portnokkel/provider"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

const canary = "CANARY-made-for-tests"

func newKoanf(t *testing.T, tree map[string]any, delim string) *koanf.Koanf {
	t.Helper()
	k := koanf.New(delim)
	if err := k.Load(confmap.Provider(tree, ""), nil); err != nil {
		t.Fatal(err)
	}
	return k
}

// connectConfig reaches srv the way that kvSetting does, retrying at once.
func connectConfig(srv *vaulttest.Server, log *logtest.Buffer) provider.ConnectConfig {
	cfg := provider.ConnectConfig{
		Config:            provider.Config{ClientOptions: srv.ClientOptions(), Logger: log.Logger()},
		CredentialOptions: srv.CredentialOptions(),
	}
	cfg.ClientOptions.Retry.RetryDelay = time.Millisecond
	cfg.CredentialOptions.Retry.RetryDelay = time.Millisecond
	return cfg
}

// with is the kvSetting of srv with changes; nil removes a field.
func with(srv *vaulttest.Server, changes map[string]any) map[string]any {
	kv := srv.KVSetting()
	maps.Copy(kv, changes)
	maps.DeleteFunc(kv, func(_ string, v any) bool { return v == nil })
	return kv
}

// files is settings files by their names.
type files map[string]string

func (f files) FS() fstest.MapFS {
	fsys := fstest.MapFS{}
	for name, content := range f {
		fsys[name] = &fstest.MapFile{Data: []byte(content)}
	}
	return fsys
}

// list is a source of texts, for AppConfig.Environ and Args.
func list(texts ...string) func() []string { return func() []string { return texts } }

// hermetic is an AppConfig that sees these files and nothing of the machine, and
// its log.
func hermetic(t testing.TB, f files) (provider.AppConfig, *logtest.Buffer) {
	t.Helper()
	var log logtest.Buffer
	return provider.AppConfig{
		FS:          f.FS(),
		Environ:     list(),
		MountedFile: "no such directory/absent.json",
		Logger:      log.Logger(),
		Origins:     new(provider.Origins),
	}, &log
}

// connecting is a ConnectConfig that reads srv as its own client.
func connecting(t *testing.T, srv *vaulttest.Server) provider.ConnectConfig {
	t.Helper()
	return provider.ConnectConfig{Config: kvConfig(t, srv)}
}
