package netcause

import (
	"bytes"
	"net/http"
	"strings"
)

// PageOf is the cause if an answer is a web page in the place of an API's answer, by its
// content type or by the beginning of its body. It is nil for any other answer, and for
// statuses whose page tells nothing: redirects, and failures that may pass.
func PageOf(status int, header http.Header, body []byte) *Error {
	if mayPass(status) || status >= 300 && status < 400 || !isPage(header, body) {
		return nil
	}
	page := Of(Page)
	page.Status = status
	return page
}

func isPage(header http.Header, body []byte) bool {
	kind := strings.ToLower(header.Get("Content-Type"))
	if strings.HasPrefix(kind, "text/html") || strings.HasPrefix(kind, "application/xhtml") {
		return true
	}
	return bytes.HasPrefix(bytes.TrimLeft(bytes.TrimPrefix(body, []byte("\ufeff")), " \t\r\n"), []byte("<"))
}
