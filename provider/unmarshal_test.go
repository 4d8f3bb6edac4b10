package provider_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portnokkel/portnokkel/internal/logtest"
	"github.com/portnokkel/portnokkel/provider"
)

// mine is a section of an application's own.
type mine struct {
	Addr    string        `koanf:"addr"`
	Timeout time.Duration `koanf:"time_out"`
	Port    int
	On      bool
	Level   slog.Level
	Remote  netip.Addr
	Hosts   []struct{ Port int }
	Limits  map[string]int
}

func TestUnmarshal(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, file string
		environ    []string
		delim      string
		section    string
		want       mine
	}{
		{"a variable", `{}`, []string{"SAKSVARSEL__ADDR=:80"}, ":", "Saksvarsel", mine{Addr: ":80"}},
		{"a variable over a file", `{"Saksvarsel":{"Addr":"a","Port":1}}`, []string{"SAKSVARSEL__ADDR=:80"}, ":", "saksvarsel", mine{Addr: ":80", Port: 1}},
		{"texts", `{}`, []string{"S__TIME_OUT=5s", "S__PORT=80", "S__ON=true", "S__LEVEL=WARN", "S__REMOTE=::1"}, ":", "s", mine{
			Timeout: 5 * time.Second, Port: 80, On: true, Level: slog.LevelWarn, Remote: netip.IPv6Loopback(),
		}},
		{"nested", `{"A":{"B":{"Addr":"x"}}}`, nil, ":", "a:b", mine{Addr: "x"}},
		{"nested, with dots", `{"A":{"B":{"Addr":"x"}}}`, nil, ".", "a.b", mine{Addr: "x"}},
		{"an array's element", `{"A":[{"Addr":"x"},{"Addr":"y"}]}`, nil, ":", "a:1", mine{Addr: "y"}},
		{"arrays and maps", `{"A":{"hosts":[{"port":1},{"PORT":"2"}],"LIMITS":{"Mixed":3}}}`, nil, ":", "A", mine{
			Hosts: []struct{ Port int }{{1}, {2}}, Limits: map[string]int{"Mixed": 3},
		}},
		{"an empty section", `{"A":{}}`, nil, ":", "A", mine{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			app, _ := hermetic(t, files{"appsettings.json": test.file})
			app.Environ = list(test.environ...)
			k, err := provider.LoadAppConfig(app)
			if err != nil {
				t.Fatal(err)
			}
			var got mine
			if err := provider.Unmarshal(newKoanf(t, k.Raw(), test.delim), test.section, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
				t.Errorf("bound (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUnmarshalAnArray(t *testing.T) {
	t.Parallel()
	var got []struct{ Name string }
	k := newKoanf(t, tree{"Clients": []any{tree{"name": "a"}, tree{"Name": "b"}}}, ":")
	if err := provider.Unmarshal(k, "CLIENTS", &got); err != nil || len(got) != 2 || got[1].Name != "b" {
		t.Errorf("got %v, %v, want the names a and b", got, err)
	}
}

func TestUnmarshalErrors(t *testing.T) {
	t.Parallel()
	k := newKoanf(t, tree{
		"Saksvarsel": tree{"Addr": "x", "Sub": tree{"Port": 1}}, "SaksvarselDatabase": tree{"x": 1}, "Logging": tree{}, "Value": canary, "Null": nil,
		"Bad": tree{
			"Port": canary, "ON": canary, "time_out": canary, "Level": canary, "Remote": canary, "Addr": tree{"a": canary},
			"Hosts": []any{tree{"Port": canary}}, "Limits": tree{"a": canary},
		},
		"List": []any{canary},
	}, ":")
	var nothing *mine
	tests := []struct {
		name, section string
		into          any
		want          string
	}{
		{"unknown", "Other", &mine{}, `provider: section "Other": no such section`},
		{"a letter is missing", "Saksvarsl", &mine{}, `provider: section "Saksvarsl": perhaps Saksvarsel is meant - no such section`},
		{"a beginning", "saks", &mine{}, `provider: section "saks": perhaps Saksvarsel or SaksvarselDatabase is meant - no such section`},
		{"nested", "saksvarsel:subb", &mine{}, `provider: section "saksvarsel:subb": perhaps Saksvarsel:Sub is meant - no such section`},
		{"two letters are swapped", "Loggnig:LogLevel", &mine{}, `provider: section "Loggnig:LogLevel": perhaps Logging is meant - no such section`},
		{"null", "null", &mine{}, `provider: section "null": no such section`},
		{"a value", "Value", &mine{}, `provider: section "Value": set keys below it - a single value is there`},
		{"not a pointer", "Saksvarsel", mine{}, `provider: section "Saksvarsel": give Unmarshal a pointer to a struct - it got a provider_test.mine`},
		{"nothing", "Saksvarsel", nil, `provider: section "Saksvarsel": give Unmarshal a pointer to a struct - it got a <nil>`},
		{"a nil pointer", "Saksvarsel", nothing, `provider: section "Saksvarsel": give Unmarshal a pointer to a struct - it got a *provider_test.mine`},
		{"an array", "List", &mine{}, `provider: List: set a value that fits the field`},
		{"what does not fit", "bad", &mine{}, `provider: bad:addr: set a value that fits string - it holds a map[string]interface {}
provider: bad:time_out: set a value that fits the field
provider: bad:Port: set a value that can be read as int
provider: bad:On: set a value that can be read as bool
provider: bad:Level: set a value that fits the field
provider: bad:Remote: set a value that fits the field
provider: bad:Hosts:0:Port: set a value that can be read as int
provider: bad:Limits:a: set a value that can be read as int`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := provider.Unmarshal(k, test.section, test.into)
			if err == nil || err.Error() != test.want {
				t.Fatalf("got\n%v\nwant\n%s", err, test.want)
			}
			for e := err; e != nil; e = errors.Unwrap(e) {
				if text := fmt.Sprintf("%v %+v %#v", e, e, e) + logtest.Reachable(e); strings.Contains(text, canary) {
					t.Errorf("got a value in %T, want it nowhere: %s", e, text)
				}
			}
			if isUnknown := strings.Contains(test.want, "no such section"); errors.Is(err, provider.ErrNoSection) != isUnknown {
				t.Errorf("got ErrNoSection %v, want %v", !isUnknown, isUnknown)
			}
		})
	}
	if err := provider.Unmarshal(nil, "A", &mine{}); !errors.Is(err, provider.ErrNoSection) {
		t.Errorf("no koanf: got %v, want ErrNoSection", err)
	}
}

// Without a delimiter a name is one key, whatever it holds.
func TestNearNamesWithoutADelimiter(t *testing.T) {
	t.Parallel()
	k := newKoanf(t, tree{"Saksvarsel": tree{}, "": tree{"Saksvarsl": 1}}, "")
	_, err := provider.Section(k, "Saksvarsl")
	if want := `provider: section "Saksvarsl": perhaps Saksvarsel is meant - no such section`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// A section of the same name below another one is offered.
func TestSectionBelowAnother(t *testing.T) {
	t.Parallel()
	k := newKoanf(t, tree{"App": tree{"maskinportenSettings": tree{"ClientId": "x", "Scope": "y"}}, "Other": tree{"MaskinportenSettings": "a value"}}, ".")
	_, err := provider.Section(k, "MaskinportenSettings")
	if want := `provider: section "MaskinportenSettings": perhaps App.maskinportenSettings is meant - no such section`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// Another service's names are not near.
func TestFarNames(t *testing.T) {
	t.Parallel()
	k := newKoanf(t, tree{"Ab": tree{}, "Abcd": tree{}, "Maskinporten": tree{}}, "")
	for _, name := range []string{"Xy", "A", "axyd", "Altinn", ""} {
		if _, err := provider.Section(k, name); err == nil || strings.Contains(err.Error(), "perhaps") {
			t.Errorf("%q: got %v, want no near names", name, err)
		}
	}
}
