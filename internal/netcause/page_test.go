package netcause_test

import (
	"net/http"
	"testing"

	"github.com/portnokkel/portnokkel/internal/netcause"
)

func TestPageOf(t *testing.T) {
	t.Parallel()
	const html = "<!DOCTYPE html>"
	for name, c := range map[string]struct {
		status     int
		kind, body string
		want       bool
	}{
		"by its type":            {200, "text/html", "", true},
		"by its type, in XHTML":  {200, "Application/XHTML+xml; charset=utf-8", "", true},
		"by its body":            {403, "application/json", "\ufeff \r\n" + html, true},
		"not found":              {404, "text/html", html, true},
		"JSON":                   {200, "application/json", `{"a":"<b>"}`, false},
		"text":                   {200, "text/plain", "eyJ", false},
		"empty":                  {200, "", "", false},
		"a redirect":             {302, "text/html", html, false},
		"a failure that passes":  {502, "text/html", html, false},
		"a server that is asked": {429, "text/html", html, false},
	} {
		got := netcause.PageOf(c.status, http.Header{"Content-Type": {c.kind}}, []byte(c.body))
		if (got != nil) != c.want || got != nil && (got.Kind != netcause.Page || got.Status != c.status) {
			t.Errorf("%s: got %v, want a page %t", name, got, c.want)
		}
	}
}
