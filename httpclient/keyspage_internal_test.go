package httpclient

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"testing"
	"time"

	"github.com/portnokkel/portnokkel/internal/pagetest"
)

// What the log says about keys has a row in the page on keys: of a key's end, and what is
// told by the files about which keys are used.
func TestKeysPageHasEveryMessage(t *testing.T) {
	t.Parallel()
	now := time.Now()
	key := &Key{kid: "my-key", setting: "EncodedJwk"}
	messages := []string{
		key.notice(stageUnknown, now), key.WithLife(time.Time{}, now).notice(stageEnded, now),
		(&Key{chain: []string{"a certificate"}}).WithLife(time.Time{}, now).notice(stageEnded, now),
		(&refusedKey{key: key, why: ErrUnknownKey}).cure(), (&refusedKey{key: key, why: ErrExpiredKey}).cure(),
	}
	for _, file := range []string{"keyring.go", "reloading.go"} {
		told := toldIn(t, file)
		if len(told) < 2 {
			t.Errorf("%s: got the messages %q, want more: this test looks for the wrong calls", file, told)
		}
		messages = append(messages, told...)
	}
	rows := pagetest.Rows(t, "../docs/keys.md")
	for _, message := range messages {
		if len(pagetest.Of(rows, message)) == 0 {
			t.Errorf("got no row for %q", message)
		}
	}
}

// toldIn are the messages that a file gives the log, with "_" for what is not constant.
func toldIn(t *testing.T, name string) (messages []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		method, ok := call.Fun.(*ast.SelectorExpr)
		switch {
		case !ok:
		case method.Sel.Name == "warn" || method.Sel.Name == "fail":
			messages = append(messages, constant(call.Args[1]))
		case method.Sel.Name == "tell":
			messages = append(messages, constant(call.Args[2]))
		}
		return true
	})
	return messages
}

// constant is what is known of a text without running the program.
func constant(text ast.Expr) string {
	switch e := text.(type) {
	case *ast.BinaryExpr:
		return constant(e.X) + constant(e.Y)
	case *ast.BasicLit:
		if value, err := strconv.Unquote(e.Value); err == nil {
			return value
		}
	}
	return "_"
}
