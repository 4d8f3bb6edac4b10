package httpclient

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// apiAnswer is what an API says about a token that it refuses, by its status and the
// header WWW-Authenticate (RFC 6750 section 3). The texts are cleaned and redacted.
type apiAnswer struct {
	status                   int
	code, description, scope string
}

// String is the answer in one line.
func (a apiAnswer) String() string {
	text := strconv.Itoa(a.status) + " "
	if a.code == "" {
		text += http.StatusText(a.status)
	}
	text += a.code
	if a.description != "" {
		text += ": " + a.description
	}
	return text
}

// parameter is one of a challenge (RFC 9110 section 11.2).
var parameter = regexp.MustCompile(`([\w-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s",]+)`)

// readAnswer reads the known fields of an API's answer. They are shortened, and without
// the token and what the request for it kept secret.
func readAnswer(resp *http.Response, request *tokenRequest, token *Token) apiAnswer {
	answer := apiAnswer{status: resp.StatusCode}
	secrets := append(request.secrets(), token.AccessToken())
	if token.from != nil {
		secrets = append(secrets, token.from.AccessToken())
	}
	fields := map[string]*string{"error": &answer.code, "error_description": &answer.description, "scope": &answer.scope}
	for _, challenge := range resp.Header.Values("WWW-Authenticate") {
		for _, m := range parameter.FindAllStringSubmatch(challenge[:min(len(challenge), maxChallenge)], -1) {
			field := fields[strings.ToLower(m[1])]
			if field == nil || *field != "" {
				continue
			}
			value := m[2]
			if unquoted, ok := strings.CutPrefix(value, `"`); ok {
				value = escaped.ReplaceAllString(strings.TrimSuffix(unquoted, `"`), "$1")
			}
			*field = cut(quote(value, secrets), maxWords)
		}
	}
	return answer
}

var escaped = regexp.MustCompile(`\\(.)`)
