package provider_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portnokkel/portnokkel/provider"
)

func TestSection(t *testing.T) {
	t.Parallel()
	settings := tree{
		"MaskinportenSettings": tree{"Scope": "a", "OrgNo": int64(912345678)},
		"Logging":              tree{"LogLevel": tree{"Microsoft.AspNetCore": "Warning"}},
		"Clients":              []any{tree{"Name": "first"}, "second"},
		"Twice":                tree{"n": 1}, "TWICE": tree{"n": 2},
		"Empty": tree{}, "Null": nil, "Value": "canary",
	}
	tests := []struct {
		name, delim, section string
		want                 tree
		wantErr              string
	}{
		{"exact", ":", "MaskinportenSettings", tree{"Scope": "a", "OrgNo": int64(912345678)}, ""},
		{"any case", ":", "maskinportenSETTINGS", tree{"Scope": "a", "OrgNo": int64(912345678)}, ""},
		{"path", ":", "logging:loglevel", tree{"Microsoft.AspNetCore": "Warning"}, ""},
		{"path in dots", ".", "logging.loglevel", tree{"Microsoft.AspNetCore": "Warning"}, ""},
		{"no delimiter", "", "logging", tree{"LogLevel": tree{"Microsoft.AspNetCore": "Warning"}}, ""},
		{"array element", ":", "clients:0", tree{"Name": "first"}, ""},
		{"empty section", ":", "empty", tree{}, ""},
		{"two spellings, exact", ":", "Twice", tree{"n": 1}, ""},
		{"two spellings, neither exact", ":", "twice", tree{"n": 2}, ""},
		{"missing", ":", "Other", nil, `provider: section "Other": no such section`},
		{"null", ":", "null", nil, `provider: section "null": no such section`},
		{"no name", ":", "", nil, `provider: section "": no such section`},
		{"below a value", ":", "Value:Below", nil, `provider: section "Value:Below": no such section`},
		{"beyond an array", ":", "Clients:2", nil, `provider: section "Clients:2": no such section`},
		{"no index", ":", "Clients:x", nil, `provider: section "Clients:x": no such section`},
		{"another delimiter", ":", "Logging.LogLevel", nil, `provider: section "Logging.LogLevel": no such section`},
		{"value", ":", "value", nil, `provider: section "value": set keys below it - a single value is there`},
		{"array", ":", "clients", nil, `provider: section "clients": set keys below it - an array is there`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := provider.Section(newKoanf(t, settings, test.delim), test.section)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			text := ""
			if err != nil {
				text = err.Error()
			}
			if text != test.wantErr {
				t.Errorf("error %q, want %q", text, test.wantErr)
			}
		})
	}
}

func TestSectionErrors(t *testing.T) {
	t.Parallel()
	k := newKoanf(t, tree{"Value": 1}, ":")
	if _, err := provider.Section(k, "Missing"); !errors.Is(err, provider.ErrNoSection) {
		t.Errorf("missing: got %v, want ErrNoSection", err)
	}
	if _, err := provider.Section(k, "Value"); errors.Is(err, provider.ErrNoSection) {
		t.Errorf("a value: got %v, want an error that is not ErrNoSection", err)
	}
	if _, err := provider.Section(nil, "Missing"); !errors.Is(err, provider.ErrNoSection) {
		t.Errorf("no koanf: got %v, want ErrNoSection", err)
	}
}

func TestSectionIsACopy(t *testing.T) {
	t.Parallel()
	k := newKoanf(t, tree{"S": tree{"A": []any{tree{"n": 1}}}}, ":")
	section, err := provider.Section(k, "s")
	if err != nil {
		t.Fatal(err)
	}
	section["A"].([]any)[0].(tree)["n"] = 2
	section["new"] = true
	if diff := cmp.Diff(tree{"S": tree{"A": []any{tree{"n": 1}}}}, k.Raw()); diff != "" {
		t.Errorf("the koanf changed with the copy:\n%s", diff)
	}
}
