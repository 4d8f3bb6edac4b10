package provider_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/knadh/koanf/v2"

	"github.com/portnokkel/portnokkel/internal/logtest"
	"github.com/portnokkel/portnokkel/provider"
)

// TestNamesBecomeKeys holds the documented meaning of names. A secret's value is
// its own name.
func TestNamesBecomeKeys(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name    string
		secrets string
		want    tree
	}{
		{"empty vault", "", tree{}},
		{"plain", "A", tree{"A": "A"}},
		{"nested", "A--B--C A--D", tree{"A": tree{"B": tree{"C": "A--B--C"}, "D": "A--D"}}},
		{"single dashes are letters", "a-b--c-d", tree{"a-b": tree{"c-d": "a-b--c-d"}}},
		{"three dashes", "a---b", tree{"a": tree{"-b": "a---b"}}},
		{"leading", "--a", tree{"": tree{"a": "--a"}}},
		{"trailing", "a--", tree{"a": tree{"": "a--"}}},
		{"four dashes", "a----b", tree{"a": tree{"": tree{"b": "a----b"}}}},
		{"five dashes", "a-----b", tree{"a": tree{"": tree{"-b": "a-----b"}}}},
		{"only dashes", "-- -", tree{"": tree{"": "--"}, "-": "-"}},
		{"case of a section", "Sect--A sECT--b", tree{"Sect": tree{"A": "Sect--A", "b": "sECT--b"}}},
		{"list", "L--1 L--0", tree{"L": []any{"L--0", "L--1"}}},
		{"list of objects", "L--0--a L--1--a L--1--b", tree{"L": []any{tree{"a": "L--0--a"}, tree{"a": "L--1--a", "b": "L--1--b"}}}},
		{"list of lists", "L--0--0", tree{"L": []any{[]any{"L--0--0"}}}},
		{"list of eleven", "L--0 L--1 L--10 L--2 L--3 L--4 L--5 L--6 L--7 L--8 L--9", tree{"L": []any{
			"L--0", "L--1", "L--2", "L--3", "L--4", "L--5", "L--6", "L--7", "L--8", "L--9", "L--10",
		}}},
		{"gap", "L--0 L--2", tree{"L": tree{"0": "L--0", "2": "L--2"}}},
		{"overlay of one element", "L--1--a", tree{"L": tree{"1": tree{"a": "L--1--a"}}}},
		{"leading zero", "L--00", tree{"L": tree{"00": "L--00"}}},
		{"organisation numbers", "Orgs--991825827--Id", tree{"Orgs": tree{"991825827": tree{"Id": "Orgs--991825827--Id"}}}},
		{"mixed", "L--0 L--x", tree{"L": tree{"0": "L--0", "x": "L--x"}}},
		{"numbers at the top", "0 1", tree{"0": "0", "1": "1"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var fake kvFake
			for _, name := range strings.Fields(c.secrets) {
				fake.secrets = append(fake.secrets, kvSecret{name: name, value: name})
			}
			vault, err := provider.KeyVaultWithClient(&fake, provider.Config{})
			if err != nil {
				t.Fatal(err)
			}
			got, err := vault.Read()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			k := koanf.New(":")
			if err := k.Load(vault, nil); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, k.Raw()); diff != "" {
				t.Errorf("through koanf: %s", diff)
			}
		})
	}
}

func TestTwoSecretsOneKey(t *testing.T) {
	t.Parallel()
	early := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	late := early.Add(time.Second)
	cases := []struct {
		name    string
		secrets []kvSecret
		want    tree
		warning string
	}{
		{"later first", []kvSecret{{"A--B", "1", late}, {"a--b", "2", early}}, tree{"A": tree{"B": "1"}}, "used=A--B ignored=a--b"},
		{"later last", []kvSecret{{"A--B", "1", early}, {"a--b", "2", late}}, tree{"A": tree{"B": "2"}}, "used=a--b ignored=A--B"},
		{"same time", []kvSecret{{"A--B", "1", late}, {"a--b", "2", late}}, tree{"A": tree{"B": "1"}}, "used=A--B ignored=a--b"},
		{"no time", []kvSecret{{"A--B", "1", time.Time{}}, {"a--b", "2", time.Time{}}}, tree{"A": tree{"B": "1"}}, "used=A--B ignored=a--b"},
		{"one has a time", []kvSecret{{"A--B", "1", time.Time{}}, {"a--b", "2", early}}, tree{"A": tree{"B": "2"}}, "used=a--b ignored=A--B"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			// Answers come in the reverse order of the requests.
			second := make(chan struct{})
			fake := &kvFake{secrets: c.secrets, after: map[string]chan struct{}{c.secrets[0].name: second}}
			var log logtest.Buffer
			vault, err := provider.KeyVaultWithClient(fake, provider.Config{
				Filter: func(name string) bool {
					if name == c.secrets[1].name {
						close(second)
					}
					return true
				},
				Logger: log.Logger(),
			})
			if err != nil {
				t.Fatal(err)
			}
			got, err := vault.Read()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "key=A--B "+c.warning) {
				t.Errorf("got the log %s, want a warning with %s", log.String(), c.warning)
			}
		})
	}
}

func TestValueBesideSection(t *testing.T) {
	t.Parallel()
	for _, order := range []string{"A a--B", "a--B A", "X--A X--a--B", "X--a--B--C X--A"} {
		t.Run(order, func(t *testing.T) {
			t.Parallel()
			var fake kvFake
			names := strings.Fields(order)
			for _, name := range names {
				fake.secrets = append(fake.secrets, kvSecret{name: name, value: "canary-value"})
			}
			vault, err := provider.KeyVaultWithClient(&fake, provider.Config{VaultURL: "https://v.vault.azure.net"})
			if err != nil {
				t.Fatal(err)
			}
			_, err = vault.Read()
			var e *provider.Error
			if !errors.As(err, &e) || e.Step != "map" {
				t.Fatalf("got %v, want an Error of the step map", err)
			}
			for _, name := range names {
				if !strings.Contains(err.Error(), " "+name+" ") {
					t.Errorf("got %q, want it to name %s", err, name)
				}
			}
			if strings.Contains(err.Error(), "canary") {
				t.Errorf("got %q, want no value in it", err)
			}
		})
	}
}

func TestMap(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	fake := &kvFake{secrets: []kvSecret{
		{"Json", `{"Db":{"Host":"h","Ports":[1,{"n":2}],"port":"x","Port":"y"},"None":{},"Empty":[]}`, now},
		{"App-Db-Host", "renamed", now.Add(time.Second)},
		{"App-Db-PORT", "older", now.Add(-time.Second)},
		{"Dropped", "", now},
		{"Typed", "7", now},
	}}
	vault, err := provider.KeyVaultWithClient(fake, provider.Config{
		Map: func(name, value string) (string, any) {
			switch {
			case name == "Json":
				var section tree
				if err := json.Unmarshal([]byte(value), &section); err != nil {
					t.Error(err)
				}
				return "Root", section
			case name == "Dropped":
				return "", value
			case name == "Typed":
				return "Typed--Number", 7
			}
			rest, _ := strings.CutPrefix(name, "App-")
			return "Root--" + strings.ReplaceAll(rest, "-", "--"), value
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := vault.Read()
	if err != nil {
		t.Fatal(err)
	}
	want := tree{
		"Root": tree{
			"Db":    tree{"Host": "renamed", "Port": "y", "Ports": []any{1.0, tree{"n": 2.0}}},
			"None":  tree{},
			"Empty": []any{},
		},
		"Typed": tree{"Number": 7},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func FuzzNames(f *testing.F) {
	for _, seed := range []string{"A A--B", "a---b --a a-- a----b", "L--0 L--1 L--2--x", "x X"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, list string) {
		var fake, reversed kvFake
		seen := map[string]bool{}
		for _, name := range strings.Fields(list) {
			if !seen[strings.ToLower(name)] && strings.Trim(name, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-") == "" && len(name) < 128 {
				seen[strings.ToLower(name)] = true
				fake.secrets = append(fake.secrets, kvSecret{name: name, value: name})
				reversed.secrets = append([]kvSecret{{name: name, value: name}}, reversed.secrets...)
			}
		}
		read := func(client *kvFake) (tree, error) {
			vault, err := provider.KeyVaultWithClient(client, provider.Config{})
			if err != nil {
				t.Fatal(err)
			}
			return vault.Read()
		}
		got, err := read(&fake)
		other, otherErr := read(&reversed)
		if (err == nil) != (otherErr == nil) {
			t.Fatalf("%q: got %v in order and %v reversed, want both or neither", list, err, otherErr)
		}
		if err != nil {
			return
		}
		if a, b := kvLeaves(got), kvLeaves(other); a != len(fake.secrets) || b != a {
			t.Errorf("%q: got %d values in order and %d reversed, want %d", list, a, b, len(fake.secrets))
		}
	})
}
