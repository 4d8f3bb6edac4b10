package provider_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portnokkel/portnokkel/provider"
)

func TestEnvironmentVariables(t *testing.T) {
	t.Parallel()
	base := `{
		"MaskinportenSettings": {"Scope": "file", "ClientId": ""},
		"Path": {"Base": "file"}, "Hosts": ["file"],
		"Endpoints": [{"Name": "a", "Port": 1}, {"Name": "b"}],
		"Orgs": {"912345678": "file"}, "Plain": "file"
	}`
	tests := []struct {
		name    string
		environ []string
		path    string
		want    any
		log     []string
	}{
		{"nests and folds", []string{"MASKINPORTENSETTINGS__SCOPE=v"}, "MaskinportenSettings", tree{"Scope": "v", "ClientId": ""}, nil},
		{"colon nests too", []string{"maskinportensettings:scope=v"}, "MaskinportenSettings:Scope", "v", nil},
		{"new section", []string{"NEW__SUB__KEY=v"}, "NEW", tree{"SUB": tree{"KEY": "v"}}, nil},
		{"value with equals signs", []string{"PLAIN=a=b="}, "Plain", "a=b=", nil},
		{"empty value", []string{"PLAIN="}, "Plain", "", nil},
		{"three underscores", []string{"A___B=v"}, "A", tree{"_B": "v"}, nil},
		{"array element", []string{"ENDPOINTS__0__NAME=v"}, "Endpoints", []any{tree{"Name": "v", "Port": int64(1)}, tree{"Name": "b"}}, nil},
		{"array from nothing", []string{"LIST__1=b", "LIST__0=a"}, "LIST", []any{"a", "b"}, nil},
		{"array of sections from nothing", []string{"LIST__0__A=a"}, "LIST", []any{tree{"A": "a"}}, nil},
		{"indices that are not an array's", []string{"LIST__1=b"}, "LIST", tree{"1": "b"}, nil},
		{"numbers as keys", []string{"ORGS__0=v"}, "Orgs", tree{"912345678": "file", "0": "v"}, nil},

		{"string beside a section", []string{"PATH=canary"}, "Path", tree{"Base": "file"}, []string{`level=DEBUG msg="provider: environment variable skipped: a section has its name" variable=PATH`}},
		{"string beside an array", []string{"HOSTS=canary"}, "Hosts", []any{"file"}, []string{"a section has its name", "variable=HOSTS"}},
		{"string beside an array's section", []string{"ENDPOINTS__1=canary"}, "Endpoints:1", nil, []string{"variable=ENDPOINTS__1"}},
		{"string beside other variables", []string{"A=canary", "A__B=v", "a__b__c=w"}, "a", tree{"b": tree{"c": "w"}}, []string{"variable=A", "variable=A__B"}},
		{"section over a value", []string{"PLAIN__SUB=v"}, "Plain", tree{"SUB": "v"}, nil},

		{"names that are not paths", []string{"__A=canary", "A__=canary", "A____B=canary", "__=canary", "=C:=canary"}, "A", nil, []string{"variable=__A", "variable=A__", "variable=A____B", "variable=__", `variable=""`}},
		{"no pair at all", []string{"canary"}, "canary", nil, nil},
		{"of one name the last", []string{"A=first", "A=last"}, "A", "last", nil},
		{"two spellings, two values", []string{"Http_Proxy=canary2", "http_proxy=canary", "HTTP_PROXY=canary1"}, "HTTP_PROXY", "canary", []string{`level=WARN msg="provider: two environment variables set one setting; the one that sorts last is used" used=http_proxy unused=Http_Proxy`}},
		{"two spellings, one value", []string{"http_proxy=canary", "HTTP_PROXY=canary"}, "HTTP_PROXY", "canary", []string{`level=DEBUG msg="provider: two environment variables set one setting; the one that sorts last is used" used=http_proxy unused=HTTP_PROXY`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			backwards := slices.Clone(test.environ)
			if test.name != "of one name the last" {
				slices.Reverse(backwards)
			}
			for _, environ := range [][]string{test.environ, backwards} {
				app, log := hermetic(t, files{"appsettings.json": base})
				app.Environ = list(environ...)
				k, err := provider.LoadAppConfig(app)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(test.want, k.Get(test.path)); diff != "" {
					t.Errorf("%v: %s (-want +got):\n%s", environ, test.path, diff)
				}
				for _, want := range test.log {
					if !strings.Contains(log.String(), want) {
						t.Errorf("%v: log lacks %s:\n%s", environ, want, log)
					}
				}
				if strings.Contains(log.String(), "canary") {
					t.Errorf("%v: a value was logged:\n%s", environ, log)
				}
			}
		})
	}
}

func TestUnusedVariablesHaveNoOrigin(t *testing.T) {
	t.Parallel()
	app, _ := hermetic(t, files{"appsettings.json": `{"Path":{"a":1}}`})
	app.Environ = list("PATH=x", "NEW=y", "new=z")
	if _, err := provider.LoadAppConfig(app); err != nil {
		t.Fatal(err)
	}
	if source := app.Origins.Of("path").Source; source != "appsettings.json" {
		t.Errorf("Path: got %q, want appsettings.json", source)
	}
	if source := app.Origins.Of("New").Source; source != "environment variable new" {
		t.Errorf("NEW: got %q, want the variable new", source)
	}
}

func TestOfManyValuesTheLast(t *testing.T) {
	t.Parallel()
	app, log := hermetic(t, nil)
	var environ []string
	for i := range 100 {
		environ = append(environ, fmt.Sprintf("A=%d", i), fmt.Sprintf("B=%d", i))
	}
	app.Environ = list(environ...)
	k, err := provider.LoadAppConfig(app)
	if err != nil || k.String("A") != "99" || k.String("B") != "99" {
		t.Errorf("got A %v, B %v, %v, want 99 for both", k.Get("A"), k.Get("B"), err)
	}
	if strings.Contains(log.String(), "two environment variables") {
		t.Errorf("got a warning of two variables, want one name taken for one:\n%s", log)
	}
}
