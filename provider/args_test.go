package provider_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portnokkel/portnokkel/provider"
)

func TestArguments(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		args []string
		want tree
		log  []string
	}{
		{"equals", []string{"--A:B=v"}, tree{"A": tree{"B": "v"}}, nil},
		{"two arguments", []string{"--A:B", "v", "--C", "w"}, tree{"A": tree{"B": "v"}, "C": "w"}, nil},
		{"slash", []string{"/A:B=v", "/C", "w"}, tree{"A": tree{"B": "v"}, "C": "w"}, nil},
		{"a slash in a key", []string{"--A:b/c=v"}, tree{"A": tree{"b/c": "v"}}, nil},
		{"no prefix", []string{"A:B=v"}, tree{"A": tree{"B": "v"}}, nil},
		{"value with equals signs, dashes and slashes", []string{"--A=b=c", "--D", "-5", "--E=--f", "--G=/h/i"}, tree{"A": "b=c", "D": "-5", "E": "--f", "G": "/h/i"}, nil},
		{"empty value", []string{"--A=", "--B", ""}, tree{"A": "", "B": ""}, nil},
		{"the later of two", []string{"--A=1", "--a=2"}, tree{"A": "2"}, nil},
		{"array", []string{"--L:0=a", "--L:1=b"}, tree{"L": []any{"a", "b"}}, nil},
		{"a flag takes no switch for its value", []string{"--flag", "--A=v"}, tree{"A": "v"}, []string{`level=DEBUG msg="provider: argument skipped: it has no value" position=1`}},
		{"a flag at the end", []string{"--A=v", "--flag"}, tree{"A": "v"}, []string{"it has no value", "position=2"}},
		{"one dash", []string{"-canary", "-c=canary", "--A=v"}, tree{"A": "v"}, []string{"settings take two dashes", "position=1", "position=2"}},
		{"plain words", []string{"canary", "--A", "v", "canary"}, tree{"A": "v"}, []string{"it is not of the form section:key=value", "position=1", "position=4"}},
		{"a secret's base64", []string{"Y2FuYXJ5==", "--A=v", "B:C=w"}, tree{"A": "v", "B": tree{"C": "w"}}, []string{"it is not of the form section:key=value", "position=1"}},
		{"paths and addresses", []string{"/usr/canary", "--A=v", "https://canary/?a=b"}, tree{"A": "v"}, []string{"it looks like a file's path or an address", "position=1", "position=3"}},
		{"keys with empty parts", []string{"--=canary", "--A::B=canary", "--:A", "x=canary", "--", "canary", "--A=v"}, tree{"A": "v"}, []string{"its key is not the path of a setting", "position=1", "position=2", "position=3", "position=5"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			app, log := hermetic(t, nil)
			app.Args = list(test.args...)
			k, err := provider.LoadAppConfig(app)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, k.Raw()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			for _, want := range test.log {
				if !strings.Contains(log.String(), want) {
					t.Errorf("log lacks %s:\n%s", want, log)
				}
			}
			if strings.Contains(log.String(), "canary") {
				t.Errorf("an argument's text was logged:\n%s", log)
			}
		})
	}
}

func TestArgumentsThatClash(t *testing.T) {
	t.Parallel()
	const clash = ": set either a value or the keys below it - the arguments set both"
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"value first", []string{"--A=canary", "--a:B=canary"}, "provider: argument --a:B" + clash},
		{"section first", []string{"--A:B=canary", "--A=canary"}, "provider: argument --A" + clash},
		{"over a file's section", []string{"--s=canary"}, "provider: S (argument --s): set the keys below it, or remove it - a single value cannot replace the section that is there"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			app, _ := hermetic(t, files{"appsettings.json": `{"S":{"x":1}}`})
			app.Args = list(test.args...)
			if _, err := provider.LoadAppConfig(app); err == nil || err.Error() != test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}
