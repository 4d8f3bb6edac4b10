package provider_test

import (
	"fmt"
	"strings"
	"testing/fstest"
	"time"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"

	"github.com/portnokkel/portnokkel/provider"
)

// A service reads its settings as a .NET app would: files, then variables, then
// arguments. A real one would leave FS and Environ out, and pass os.Args[1:].
func ExampleLoadAppConfig() {
	k, err := provider.LoadAppConfig(provider.AppConfig{
		FS: fstest.MapFS{
			"appsettings.json":         {Data: []byte(`{"MaskinportenSettings": {"Environment": "prod", "Scope": "a:read"}} // comments are fine`)},
			"appsettings.Staging.json": {Data: []byte(`{"MaskinportenSettings": {"Environment": "test"}}`)},
		},
		Environ: func() []string {
			return []string{"APP_ENVIRONMENT=Staging", "MASKINPORTENSETTINGS__CLIENTID=my-client"}
		},
		Args: func() []string { return []string{"--MaskinportenSettings:Scope", "a:write"} },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(k.String("MaskinportenSettings:Environment"))
	fmt.Println(k.String("MaskinportenSettings:Scope"))
	section, err := provider.Section(k, "maskinportensettings")
	fmt.Println(len(section), err)
	// Output:
	// test
	// a:write
	// 3 <nil>
}

func ExampleSection() {
	k := koanf.New(".")
	_ = k.Load(confmap.Provider(map[string]any{"App": map[string]any{"KsSettings": map[string]any{"Scope": "ks:read"}}}, ""), nil)
	section, err := provider.Section(k, "app.kssettings")
	fmt.Println(section, err)
	_, err = provider.Section(k, "app.other")
	fmt.Println(err)
	// Output:
	// map[Scope:ks:read] <nil>
	// provider: section "app.other": no such section
}

// Settings of your own are bound in any case: a variable is not lost because it is
// in upper case, or because no file has its section.
func ExampleUnmarshal() {
	k, err := provider.LoadAppConfig(provider.AppConfig{
		FS:      fstest.MapFS{"appsettings.json": {Data: []byte(`{"Saksvarsel": {"Interval": "5m"}}`)}},
		Environ: func() []string { return []string{"SAKSVARSEL__ADDR=:8080", "SAKSVARSEL__QUEUE__SIZE=20"} },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	var mine struct {
		Addr     string        `koanf:"addr"`
		Interval time.Duration `koanf:"interval"`
		Queue    struct {
			Size int `koanf:"size"`
		} `koanf:"queue"`
	}
	fmt.Println(provider.Unmarshal(k, "Saksvarsel", &mine))
	fmt.Println(mine.Addr, mine.Interval, mine.Queue.Size)

	var queue struct{ Size int }
	fmt.Println(provider.Unmarshal(k, "saksvarsel:queue", &queue), queue.Size)
	fmt.Println(provider.Unmarshal(k, "Saksvarsl", &mine))
	// Output:
	// <nil>
	// :8080 5m0s 20
	// <nil> 20
	// provider: section "Saksvarsl": perhaps Saksvarsel is meant - no such section
}

// Layers of your own follow .NET's rules too when they are loaded with Merge:
// the spelling of the first layer stays, and arrays overlay by index.
func ExampleMerge() {
	k := koanf.New(":")
	for _, layer := range []map[string]any{
		{"Settings": map[string]any{"ClientId": "", "Scopes": []any{"a:read", "b:read"}}},
		{"SETTINGS": map[string]any{"CLIENTID": "my-client", "SCOPES": map[string]any{"1": "b:write"}}},
	} {
		if err := k.Load(confmap.Provider(layer, ""), nil, koanf.WithMergeFunc(provider.Merge)); err != nil {
			fmt.Println(err)
			return
		}
	}
	fmt.Println(k.Raw())
	err := k.Load(confmap.Provider(map[string]any{"settings": "text"}, ""), nil, koanf.WithMergeFunc(provider.Merge))
	fmt.Println(err)
	// Output:
	// map[Settings:map[ClientId:my-client Scopes:[a:read b:write]]]
	// provider: Settings: set the keys below it, or remove it - a single value cannot replace the section that is there
}

// Where does this value come from?
func ExampleOrigins() {
	var origins provider.Origins
	_, err := provider.LoadAppConfig(provider.AppConfig{
		FS:      fstest.MapFS{"appsettings.json": {Data: []byte(`{"Api": {"Url": "https://old.example", "Scopes": ["a", "b"]}}`)}},
		Environ: func() []string { return []string{"API__URL=https://new.example"} },
		Args:    func() []string { return []string{"--Api:Scopes:1=c"} },
		Origins: &origins,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for path, source := range origins.All() {
		fmt.Println(path, "from", source)
	}
	fmt.Println(origins.Of("api:url").Source)
	first, second, _ := strings.Cut(origins.Summary(), "; ")
	fmt.Println(first)
	fmt.Println(second)
	// Output:
	// Api:Scopes:0 from appsettings.json
	// Api:Scopes:1 from argument --Api:Scopes:1
	// Api:Url from environment variable API__URL
	// environment variable API__URL
	// settings read from appsettings.json, environment, arguments
	// not found: appsettings.Production.json, /altinn-appsettings-secret/altinn-appsettings-secret.json
	// no Key Vault connected
}
