package provider_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/knadh/koanf/v2"

	"github.com/portnokkel/portnokkel/provider"
)

func TestFileContents(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, file string
		want       tree
	}{
		{"empty object", `{}`, tree{}},
		{"comments and trailing commas", "// first\n{ /* in */ \"a\": [1, 2,], // after\n \"b\": {\"c\": true,},\n}", tree{"a": []any{int64(1), int64(2)}, "b": tree{"c": true}}},
		{"byte order mark", "\xef\xbb\xbf{\"a\":1}", tree{"a": int64(1)}},
		{"windows line ends", "{\r\n\"a\":\r\n1}\r\n", tree{"a": int64(1)}},
		{"every kind of value", `{"s":"x","t":true,"f":false,"n":null,"i":-7,"d":1.5,"e":1e3,"o":{},"l":[null,"x",{"y":[[]]}]}`, tree{
			"s": "x", "t": true, "f": false, "n": nil, "i": int64(-7), "d": 1.5, "e": 1000.0, "o": tree{}, "l": []any{nil, "x", tree{"y": []any{[]any{}}}},
		}},
		{"escapes", `{"a\u00f8":"\"\\\n\ud83d\ude00"}`, tree{"aø": "\"\\\n😀"}},
		{"a comment at the very end", "{\"a\":1} // no line end", tree{"a": int64(1)}},
		{"deep, but not too deep", nested(63), nestedTree(63)},
		{"dots are not a delimiter", `{"A.B":1,"A":{"B":2}}`, tree{"A.B": int64(1), "A": tree{"B": int64(2)}}},
		{"a key with colons is a path", `{"A:B":1,"a":{"C":2},"A:d:e":3}`, tree{"A": tree{"B": int64(1), "C": int64(2), "d": tree{"e": int64(3)}}}},
		{"a colon path to a section", `{"A:B":{"C":1}}`, tree{"A": tree{"B": tree{"C": int64(1)}}}},
		{"a key with an empty part is one key", `{"A::B":1,"":2,"c:":3}`, tree{"A::B": int64(1), "": int64(2), "c:": int64(3)}},
		{"a section in two pieces", `{"a":{"x":1},"A":{"y":2}}`, tree{"a": tree{"x": int64(1), "y": int64(2)}}},
		{"numeric keys stay keys", `{"orgs":{"0":1,"1":2}}`, tree{"orgs": tree{"0": int64(1), "1": int64(2)}}},
		{"large numbers stay exact", `{"a":912345678,"b":9223372036854775807,"c":9223372036854775808,"d":1e999}`, tree{
			"a": int64(912345678), "b": int64(9223372036854775807), "c": json.Number("9223372036854775808"), "d": json.Number("1e999"),
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			k, err := loadFiles(t, files{"appsettings.json": test.file})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, k.Raw()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestArraysMayBeDeep(t *testing.T) {
	t.Parallel()
	k, err := loadFiles(t, files{"appsettings.json": `{"a":` + strings.Repeat("[", 63) + strings.Repeat("]", 63) + "}"})
	if err != nil {
		t.Fatal(err)
	}
	depth := 0
	for array, ok := k.Get("a").([]any); ok; depth++ {
		if len(array) == 0 {
			ok = false
			continue
		}
		array, ok = array[0].([]any)
	}
	if depth != 63 {
		t.Errorf("got %d arrays in one another, want 63", depth)
	}
}

// The bound on objects and arrays is the last number that is read.
func TestManyObjectsAndArrays(t *testing.T) {
	t.Parallel()
	k, err := loadFiles(t, files{"appsettings.json": `{"a":[` + strings.Repeat("{},", 99_998) + "]}"})
	if err != nil {
		t.Fatal(err)
	}
	if array, _ := k.Get("a").([]any); len(array) != 99_998 {
		t.Errorf("got %d objects, want 99998", len(array))
	}
}

func TestNumbersPrintAsWritten(t *testing.T) {
	t.Parallel()
	k, err := loadFiles(t, files{"appsettings.json": `{"OrgNo": 912345678, "Big": 123456789012345678901234567890}`})
	if err != nil {
		t.Fatal(err)
	}
	var bound struct {
		OrgNo, Big string
	}
	if err := k.Unmarshal("", &bound); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(k.Get("OrgNo"), " ", bound); got != "912345678 {912345678 123456789012345678901234567890}" {
		t.Error(got)
	}
}

func TestBadFiles(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, file, want string }{
		{"empty", "", "line 1, column 1: the file ends too early"},
		{"only a comment", "// canary\n", "line 2, column 1: the file ends too early"},
		{"missing comma", "{\n  \"a\": \"canary\"\n  \"canary\": 2\n}", "line 3, column 3: unexpected character after object value (expecting ',' or '}')"},
		{"missing comma in an array", "[\"canary\" 7]", "line 1, column 11: unexpected character after array value (expecting ',' or ']')"},
		{"missing colon", "{\n\"a\" \"canary\"}", "line 2, column 5: unexpected character after object name"},
		{"missing brace", "{\"a\": \"canary\",\n", "line 2, column 1: the file ends too early"},
		{"open string", "{\"a\": \"canary", "line 1, column 14: the file ends too early"},
		{"open comment", "{} /* canary", "line 1, column 4: the file ends too early"},
		{"bare word", "{\"a\": canary}", "line 1, column 7: not a valid value: put texts in quotation marks, write a backslash as two, and true, false and null in small letters"},
		{"bad escape", `{"a": "canary\q"}`, "line 1, column 7: not a valid value: put texts in quotation marks, write a backslash as two, and true, false and null in small letters"},
		{"single quotes", "{'canary': 1}", `line 1, column 2: unexpected character at start of value: put names and texts in straight quotation marks "`},
		{"name is a number", "{\"b\":2, 1: 1}", `line 1, column 9: unexpected character at start of object name: put names and texts in straight quotation marks "`},
		{"two values", "{}\n{\"canary\":1}", "line 2, column 1: unexpected character after top-level value"},
		{"invalid text in a comment", "{} // canary \xff\n", "line 1, column 4: not a valid value: put texts in quotation marks, write a backslash as two, and true, false and null in small letters"},
		{"column after a byte order mark", "\xef\xbb\xbf{,}", `line 1, column 2: unexpected character at start of value: put names and texts in straight quotation marks "`},
		{"an array", "\n [\"canary\"]", "line 2, column 2: the file must hold one object, {...}"},
		{"null", "null", "line 1, column 1: the file must hold one object, {...}"},
		{"UTF-16", "\xff\xfe{\x00}\x00", "the file is UTF-16: save it as UTF-8"},
		{"UTF-16, other end first", "\xfe\xff\x00{\x00}", "the file is UTF-16: save it as UTF-8"},
		{"too deep", nested(64), "line 1, column 321: more than 64 objects and arrays in one another"},
		{"arrays too deep", `{"a":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + "}", "line 1, column 69: more than 64 objects and arrays in one another"},
		{"one bracket too many", `{"a":[` + strings.Repeat("{},", 99_999) + "]}", "the file has more than 100000 objects and arrays"},
		{"too many brackets", strings.Repeat("[", 2_000_000), "the file has more than 100000 objects and arrays"},
		{"a key twice", "{\n \"A\": {\"b\": \"canary\"},\n \"a\": {\"B\": \"canary\"}\n}", `line 3, column 8: remove "a:B" or the "A:b" of line 2 - upper and lower case are the same`},
		{"a key twice, once as a path", "{\"A\":{\"B\":1}, \"a:b\":2}", `line 1, column 15: remove "a:b" or the "A:B" of line 1 - upper and lower case are the same`},
		{"a key twice in an array", `{"a":[{},{"x":1,"X":2}]}`, `line 1, column 17: remove "a:1:X" or the "a:1:x" of line 1 - upper and lower case are the same`},
		{"a value, then a section", `{"a":1,"A":{"b":1}}`, `line 1, column 8: remove "A" or the "a" of line 1 - upper and lower case are the same`},
		{"a value, then a path through it", `{"a":1,"A:b":2}`, `line 1, column 8: remove "A:b" or what clashes with it - a setting has either a value or keys below it`},
		{"a path, then a value above it", `{"A:b":2,"a":1}`, `line 1, column 10: remove "a" or what clashes with it - a setting has either a value or keys below it`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := loadFiles(t, files{"appsettings.json": test.file})
			want := "provider: appsettings.json: " + test.want
			if err == nil || err.Error() != want {
				t.Fatalf("error:\ngot  %v\nwant %s", err, want)
			}
			if strings.Contains(err.Error(), "canary") {
				t.Error("the error quotes the file")
			}
		})
	}
}

func TestEveryProblemIsNamed(t *testing.T) {
	t.Parallel()
	_, err := loadFiles(t, files{
		"appsettings.json":            `{"a":1,"A":2,"b":1,"B":2}`,
		"appsettings.Production.json": `{`,
	})
	want := `provider: appsettings.json: line 1, column 8: remove "A" or the "a" of line 1 - upper and lower case are the same
provider: appsettings.json: line 1, column 20: remove "B" or the "b" of line 1 - upper and lower case are the same
provider: appsettings.Production.json: line 1, column 2: the file ends too early`
	if err == nil || err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
}

// nested is n objects in one another with an empty array in the innermost.
func nested(n int) string {
	return strings.Repeat(`{"a":`, n) + "[]" + strings.Repeat("}", n)
}

func nestedTree(n int) tree {
	t := tree{"a": []any{}}
	for range n - 1 {
		t = tree{"a": t}
	}
	return t
}

func loadFiles(t *testing.T, f files) (*koanf.Koanf, error) {
	t.Helper()
	app, _ := hermetic(t, f)
	return provider.LoadAppConfig(app)
}
