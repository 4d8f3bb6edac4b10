package azure

import (
	"regexp"
	"strings"
	"unicode"
)

var plainCode = regexp.MustCompile(`^[0-9A-Za-z_.-]{1,64}$`)

// code is a server's code, if it looks like one and repeats no secret that the
// server was sent.
func (s *Session) code(code string) string {
	var secrets []string
	if token := s.gate.token.Load(); token != nil {
		secrets = append(secrets, *token)
	}
	if asked := s.gate.asked.Load(); asked != nil {
		secrets = append(secrets, asked.secret())
	}
	if !plainCode.MatchString(code) || echoes(code, secrets) {
		return ""
	}
	return code
}

// echoes reports whether a text holds a secret, or a run of it.
func echoes(text string, secrets []string) bool {
	for _, secret := range secrets {
		if secret != "" && strings.Contains(text, secret) {
			return true
		}
		for i := 0; i+minEcho <= len(text); i++ {
			if strings.Contains(secret, text[i:i+minEcho]) {
				return true
			}
		}
	}
	return false
}

var quoting = regexp.MustCompile(`[\r\n{<]|\b(Get|Head|Post|Put) "`)

// ownWords is the beginning of an error's text, up to where it quotes an answer or
// net/http, and whether that is the whole.
func ownWords(text string) (string, bool) {
	at := quoting.FindStringIndex(text)
	if at != nil {
		text = text[:at[0]]
	}
	return strings.TrimRight(clean(text), " :"), at == nil
}

// clean makes a text fit for a line of a log.
func clean(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if runes := []rune(text); len(runes) > maxQuote {
		text = string(runes[:maxQuote-1]) + "…"
	}
	return text
}
