package provider_test

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/knadh/koanf/maps"
	"github.com/tailscale/hujson"

	"github.com/portnokkel/portnokkel/provider"
)

// settingsOf is a file's settings, or nil when it is not a settings file.
func settingsOf(t *testing.T, file string) tree {
	t.Helper()
	app, _ := hermetic(t, files{"appsettings.json": file})
	k, err := provider.LoadAppConfig(app)
	if err != nil {
		return nil
	}
	return k.Raw()
}

// FuzzMerge lays one tree over another and checks that this is repeatable. How the
// source spells its keys must not matter. Nothing may be lost or shared, and a refusal
// changes nothing.
func FuzzMerge(f *testing.F) {
	for _, seed := range [][2]string{
		{`{"MaskinportenSettings":{"ClientId":"","Scopes":["a","b"]}}`, `{"maskinportensettings":{"CLIENTID":"x","scopes":{"1":"c","2":"d"}}}`},
		{`{"E":[{"Name":"a","Port":1},{"Name":"b"}]}`, `{"e":{"0":{"name":"c"}}}`},
		{`{"E":[1]}`, `{"e":{"3":1}}`},
		{`{"P":{"x":1}}`, `{"p":"y","q":1}`},
		{`{"o":{"912345678":1}}`, `{"o":["x"],"n":null,"":{"":[]}}`},
		{`{"a":"","b":null,"c":[[1]],"d":{}}`, `{"a":{"x":1},"b":[],"c":[[2,3]],"d":null}`},
		{`{"K":1}`, `{"` + "\u212a" + `":2}`},
		{`{"K":{"kty":"a","n":1},"s":{"keys":[{"kty":"a"},{"kty":"a"}],"x":1}}`, `{"k":{"KTY":"b"},"S":{"keys":{"0":{"kty":"b"}}}}`},
		{`{"K":{"kty":"a"},"kty":"a"}`, `{"k":"b","KTY":"b"}`},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, below, above string) {
		dest, src := settingsOf(t, below), settingsOf(t, above)
		if dest == nil || src == nil {
			return
		}
		first, second, respelt := maps.Copy(dest), maps.Copy(dest), maps.Copy(dest)
		source := maps.Copy(src)
		err := provider.Merge(source, first)
		if again := provider.Merge(src, second); (err == nil) != (again == nil) || err != nil && err.Error() != again.Error() {
			t.Fatalf("first %v, then %v", err, again)
		}
		if diff := cmp.Diff(first, second); diff != "" {
			t.Fatalf("two merges differ:\n%s", diff)
		}
		if err != nil {
			if diff := cmp.Diff(dest, first); diff != "" {
				t.Fatalf("a refused merge changed dest:\n%s", diff)
			}
			return
		}
		if err := provider.Merge(spell(src, swapCase).(tree), respelt); err != nil {
			t.Fatalf("respelt: %v", err)
		}
		if diff := cmp.Diff(spell(first, strings.ToUpper), spell(respelt, strings.ToUpper)); diff != "" {
			t.Fatalf("the source's spelling matters:\n%s", diff)
		}
		kept(t, "", src, first)
		kept(t, "", withoutReplaced(dest, src), withoutValues(first))
		scribble(source)
		if diff := cmp.Diff(second, first); diff != "" {
			t.Fatalf("dest shares memory with its source:\n%s", diff)
		}
	})
}

// swapCase swaps ASCII letters only: beyond them, upper and lower case are not
// always one another's.
func swapCase(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= unicode.MaxASCII:
			return r
		case unicode.IsUpper(r):
			return unicode.ToLower(r)
		}
		return unicode.ToUpper(r)
	}, s)
}

// spell is a copy of a tree with other keys.
func spell(v any, how func(string) string) any {
	switch v := v.(type) {
	case tree:
		out := tree{}
		for key, value := range v {
			out[how(key)] = spell(value, how)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = spell(v[i], how)
		}
		return out
	}
	return v
}

// withoutValues is a tree whose single values equal every value.
func withoutValues(v any) any {
	switch v := v.(type) {
	case tree:
		out := tree{}
		for key, value := range v {
			out[key] = withoutValues(value)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = withoutValues(v[i])
		}
		return out
	}
	return anything{}
}

// withoutReplaced is what is in dest, with nil in the place of what a JSON Web Key in
// src replaces whole.
func withoutReplaced(dest, src any) any {
	below := func(v any, key string) any {
		over, _ := find(src, key)
		section, _ := v.(tree)
		keys, _ := find(over, "keys")
		if array, _ := keys.([]any); isKey(over) || isKey(array) && isKey(section) {
			return nil
		}
		return withoutReplaced(v, over)
	}
	switch dest := dest.(type) {
	case tree:
		out := tree{}
		for key, v := range dest {
			out[key] = below(v, key)
		}
		return out
	case []any:
		out := make([]any, len(dest))
		for i, v := range dest {
			out[i] = below(v, strconv.Itoa(i))
		}
		return out
	}
	return dest
}

// isKey reports whether v is a JSON Web Key or an array of them.
func isKey(v any) bool {
	switch v := v.(type) {
	case tree:
		kty, _ := find(v, "kty")
		text, _ := kty.(string)
		return strings.TrimSpace(text) != ""
	case []any:
		for _, element := range v {
			if section, _ := element.(tree); !isKey(section) {
				return false
			}
		}
		return len(v) > 0
	}
	return false
}

// kept fails if a value of want has no counterpart in got. Sections and
// arrays may have changed into one another only as Merge says.
func kept(t *testing.T, path string, want, got any) {
	t.Helper()
	if _, ok := got.(anything); ok {
		return
	}
	switch want := want.(type) {
	case tree:
		for key, value := range want {
			found, ok := find(got, key)
			if !ok {
				t.Fatalf("%s:%s is lost", path, key)
			}
			kept(t, path+":"+key, value, found)
		}
	case []any:
		for i, value := range want {
			key, _ := json.Marshal(i)
			found, ok := find(got, string(key))
			if !ok {
				t.Fatalf("%s:%d is lost", path, i)
			}
			kept(t, path, value, found)
		}
	case nil:
	default:
		switch got.(type) {
		case tree, []any: // a later section or array took the value's place
		default:
			if !cmp.Equal(want, got) {
				t.Fatalf("%s: want %v, got %v", path, want, got)
			}
		}
	}
}

// scribble overwrites everything in a tree.
func scribble(v any) {
	switch v := v.(type) {
	case tree:
		for key, value := range v {
			scribble(value)
			v[key] = "scribbled"
		}
		v["scribbled"] = true
	case []any:
		for i := range v {
			scribble(v[i])
			v[i] = "scribbled"
		}
	}
}

// FuzzSettingsFile checks that a file never causes a panic, means one thing, and
// is read if it is plain JSON. Errors quote its keys only.
func FuzzSettingsFile(f *testing.F) {
	for _, seed := range []string{
		`{"a":{"b":[1,2.5,true,null,"x"]}}`, "\xef\xbb\xbf{// c\n\"a\":1,}", `{"A:B":1,"a":{"b":2}}`, `{"a":1,"A:b":2}`,
		`{"":{"":1},"a::b":1,":a":2}`, "\xff\xfe{", `{"a":12345678901234567890,"b":1e999}`, `[`, `{"a" "b"}`, "/*", `{"a":"\ud800"}`, `{}//`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		app, _ := hermetic(t, files{"appsettings.json": string(data)})
		k, err := provider.LoadAppConfig(app)
		again, errAgain := provider.LoadAppConfig(app)
		if (err == nil) != (errAgain == nil) {
			t.Fatalf("first %v, then %v", err, errAgain)
		}
		if err == nil {
			if diff := cmp.Diff(k.Raw(), again.Raw()); diff != "" {
				t.Fatalf("two readings differ:\n%s", diff)
			}
			for path := range app.Origins.All() {
				if source := app.Origins.Of(swapCase(path)).Source; source != "appsettings.json" {
					t.Fatalf("the origin of %q is %q", path, source)
				}
			}
			return
		}
		var plain map[string]any
		refusable := []string{": remove ", "the key looks like ", "in one another", "objects and arrays", "UTF-16"}
		if json.Unmarshal(data, &plain) == nil && plain != nil && !slices.ContainsFunc(refusable, func(s string) bool { return strings.Contains(err.Error(), s) }) {
			t.Fatalf("plain JSON refused: %v", err)
		}
		if !strings.HasPrefix(err.Error(), "provider: appsettings.json: ") {
			t.Fatalf("the error does not name the file: %v", err)
		}
		for line := range strings.SplitSeq(err.Error(), "\n") {
			match := fileErrors.FindStringSubmatch(line)
			if match == nil {
				t.Fatalf("the error may quote the file: %s", line)
			}
			for _, quoted := range match[1:] {
				if path, err := strconv.Unquote(quoted); quoted != "" && (err != nil || !endsInAKey(data, path)) {
					t.Fatalf("the error quotes what is not a key: %s", line)
				}
			}
		}
	})
}

// fileErrors is all that an error about a file may say. It quotes keys only.
var fileErrors = regexp.MustCompile(`^provider: appsettings\.json: (?:` + strings.Join([]string{
	`the file is UTF-16: save it as UTF-8`,
	`the file has more than \d+ objects and arrays`,
	`line \d+, column \d+: (?:` + strings.Join([]string{
		`unexpected character (?:after top-level value|after object name)`,
		`unexpected character at start of (?:value|object name): put names and texts in straight quotation marks "`,
		`unexpected character after (?:object value \(expecting ',' or '}'\)|array value \(expecting ',' or '\]'\))`,
		`the file ends too early`, `not a valid value: put texts in quotation marks, write a backslash as two, and true, false and null in small letters`,
		`the file must hold one object, \{\.\.\.\}`, `more than \d+ objects and arrays in one another`,
		`remove ("(?:[^"\\]|\\.)*") or what clashes with it - a setting has either a value or keys below it`,
		`remove ("(?:[^"\\]|\\.)*") or the ("(?:[^"\\]|\\.)*") of line \d+ - upper and lower case are the same`,
		`the key looks like [\w ():,#]+`,
	}, "|") + `)`,
}, "|") + `)$`)

// endsInAKey reports whether the last key in a path is one of the file's.
func endsInAKey(file []byte, path string) bool {
	root, err := hujson.Parse(append(bytes.TrimPrefix(file, []byte("\xef\xbb\xbf")), '\n'))
	if err != nil {
		return false
	}
	found := false
	for value := range root.All() {
		if object, ok := value.Value.(*hujson.Object); ok {
			for _, member := range object.Members {
				found = found || strings.HasSuffix(path, member.Name.Value.(hujson.Literal).String())
			}
		}
	}
	return found
}

// FuzzVariablesAndArguments checks that no variable or argument causes a panic. The
// order of variables must not matter, and no value may be logged.
func FuzzVariablesAndArguments(f *testing.F) {
	f.Add("A__B\na__b__c\nPATH\npath\n__\nL__0\nL__1", "--A:B\n/C\nD:E\n-x\n--\n--L:0")
	f.Add("S__X\ns\nS__0", "--s:x\n--S")
	f.Add("=C:\n\x00\n\xff__\xfe", "/usr/bin\n--=\n\xff")
	f.Fuzz(func(t *testing.T, names, keys string) {
		const canary = "c4n4ry"
		if strings.Contains(names+keys, canary) {
			return
		}
		app, log := hermetic(t, files{"appsettings.json": `{"Path":{"x":1},"S":{"X":"y"},"L":["z"]}`})
		var environ, args []string
		app.Environ = func() []string { return environ }
		app.Args = func() []string { return args }
		seen := map[string]bool{}
		for name := range strings.SplitSeq(names, "\n") {
			if name, _, _ = strings.Cut(name, "="); !seen[name] {
				seen[name] = true
				environ = append(environ, name+"="+canary+name)
			}
		}
		for key := range strings.SplitSeq(keys, "\n") {
			args = append(args, key+"="+canary, key, canary)
		}
		k, err := provider.LoadAppConfig(app)
		slices.Reverse(environ)
		again, errAgain := provider.LoadAppConfig(app)
		switch {
		case (err == nil) != (errAgain == nil) || err != nil && err.Error() != errAgain.Error():
			t.Fatalf("the order matters: %v, %v", err, errAgain)
		case err == nil:
			if diff := cmp.Diff(k.Raw(), again.Raw()); diff != "" {
				t.Fatalf("the order matters:\n%s", diff)
			}
		case strings.Contains(err.Error(), canary):
			t.Fatalf("a value in an error: %v", err)
		}
		if strings.Contains(log.String(), canary) {
			t.Fatalf("a value in the log:\n%s", log)
		}
		if k != nil && strings.Contains(app.Origins.Summary(), canary) {
			t.Fatal("a value in the summary")
		}
	})
}
