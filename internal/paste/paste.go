// Package paste recognises what was put into the wrong setting: a key, a token, a
// certificate, a text in quotation marks. Such a value must not be printed, nor sent
// anywhere.
package paste

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// Problem says what a setting's value looks like that it cannot be, with what to do,
// such as `looks like a private key (JWK): it belongs in EncodedJwk`. It never quotes
// the value. It is empty for a value that looks like none of these and has no more than
// limit characters.
func Problem(value string, limit int) string {
	switch what := Kind(value); what {
	case "":
	case inQuotes:
		return "is in quotation marks: remove them"
	default:
		return "looks like " + what
	}
	if n := len([]rune(value)); n > limit {
		return fmt.Sprintf("is a text of %d characters: at most %d are possible, so that it may be a secret in the wrong place", n, limit)
	}
	return ""
}

// Kind tells what a value is or contains, with where it belongs; empty for nothing of
// that kind.
func Kind(value string) string {
	value = strings.TrimSpace(strings.TrimPrefix(value, "\ufeff"))
	if what := plain(value); what != "" {
		return what
	}
	if IsQuoted(value) {
		return inQuotes
	}
	if entraSecret.MatchString(value) {
		return "a client secret of Entra: it belongs in ClientSecret of kvSetting"
	}
	for _, run := range base64Run.FindAllString(joined.Replace(value), -1) {
		if what := encoded(run, 2); what != "" {
			return what
		}
	}
	return ""
}

// Random says of a text that holds many random characters, such as an access key, what
// to do about that. It is empty for other texts. It is not for what may be random, such
// as a key's id.
func Random(value string) string {
	for _, run := range randomRun.FindAllString(value, -1) {
		if looksRandom(run) {
			return "looks like a key or a token of random characters: set the value that belongs here"
		}
	}
	return ""
}

var randomRun = regexp.MustCompile(`[A-Za-z0-9+_~-]{32,}|[A-Za-z0-9+/=]{40,}`)

// looksRandom reports whether a text has capitals, small letters and digits, and goes
// from one of these to another more often than words in a name do.
func looksRandom(text string) bool {
	var changes int
	seen := map[int]bool{}
	before := -1
	for _, r := range text {
		class := 0
		switch {
		case r >= 'A' && r <= 'Z':
			class = 1
		case r >= 'a' && r <= 'z':
			class = 2
		case r >= '0' && r <= '9':
			class = 3
		}
		if class != before && before != -1 {
			changes++
		}
		before, seen[class] = class, true
	}
	return seen[1] && seen[2] && seen[3] && 2*changes >= len(text)
}

// inQuotes is what Kind calls a text in quotation marks.
const inQuotes = "a text in quotation marks: remove them"

// IsQuoted reports whether the value stands in quotation marks of any kind.
func IsQuoted(value string) bool { return quoted.MatchString(strings.TrimSpace(value)) }

// plain recognises what is not encoded.
func plain(text string) string {
	text = oneQuote.Replace(text)
	switch {
	case privatePEM.MatchString(text):
		return "a private key (PEM): convert it to a JWK, which belongs in EncodedJwk"
	case strings.Contains(text, "-----BEGIN "):
		return "a certificate or key (PEM)"
	case jwkMember.MatchString(text), bareMember.MatchString(text):
		return "a private key (JWK): it belongs in EncodedJwk"
	case jwt.MatchString(text):
		return "a token (JWT): tokens are not settings"
	case foreignKey.MatchString(text):
		return "a private key (XML, OpenSSH): convert it to a JWK, which belongs in EncodedJwk"
	case token.MatchString(text):
		return "an access token: tokens are not settings"
	case connection.MatchString(text):
		return "a connection string or a shared access signature: it does not belong here"
	case jsonMember.MatchString(text), jsonWhole.MatchString(text):
		return "JSON"
	}
	return ""
}

var (
	privatePEM = regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY`)
	jwkMember  = regexp.MustCompile(`"(kty|d|dp|dq|qi)"\s*:`)
	bareMember = regexp.MustCompile(`(^|[\s{,])kty\s*[:=]`) // of YAML or JavaScript
	foreignKey = regexp.MustCompile(`<RSAKeyValue>|<RSAParameters\b|^openssh-key-v1`)
	token      = regexp.MustCompile(`\b(?:gh[oprsu]_\w{30,}|github_pat_\w{20,}|glpat-[\w-]{16,}|xox[a-z]-[\w-]{16,}|hooks\.slack\.com/services/\w|(?i:basic|bearer) [\w.~+/-]{16,})`)
	connection = regexp.MustCompile(`(?i)(?:^|[;,?&\s])(?:AccountKey|SharedAccessKey|SharedAccessSignature|Password|Pwd|sig|client_?secret)=[^\s;]`)
	jwt        = regexp.MustCompile(`eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*`)
	jsonMember = regexp.MustCompile(`"\s*:\s*["\[{0-9tfn]`)
	jsonWhole  = regexp.MustCompile(`^[{\[]\s*["{\[](?s:.*)[}\]]$`)
	quoted     = regexp.MustCompile(`^(?s:".*"|'.*'|“.*”|„.*“|«.*»|` + "`.*`" + `)$`)
	// Entra's own scanners know its secrets by this; those of before 2021 have a ~ at any place.
	entraSecret = regexp.MustCompile(`(^|[^\w.~-])([\w.~-]{3}\dQ~[\w.~-]{31,34}|[\w.-]{1,8}~[\w.~-]{25,35})([^\w.~-]|$)`)
	base64Run   = regexp.MustCompile(`[A-Za-z0-9+/_-]{24,}`)
)

// oneQuote writes quotation marks that are escaped in some way, or single, as JSON's own.
var oneQuote = strings.NewReplacer(`\"`, `"`, "'", `"`, "%22", `"`, "%3A", ":", "&quot;", `"`, "&#34;", `"`)

// joined takes out line breaks, over which base64 may go on.
var joined = strings.NewReplacer("\r", "", "\n", "", `\r`, "", `\n`, "")

// encoded recognises base64, in either alphabet, of a key, a certificate or a token.
// It looks into base64 of base64 once.
func encoded(run string, depth int) string {
	// A cut at either end must not hide it: every phase of the first group is tried.
	for start := range min(4, len(run)) {
		data, err := base64.RawStdEncoding.DecodeString(toStandard.Replace(whole(run[start:])))
		if err != nil {
			continue
		}
		if isDER(data) && start == 0 {
			return "base64 of a key or certificate (DER, PKCS#12): an archive belongs in EncodedX509"
		}
		text := strings.ReplaceAll(string(data), "\x00", "") // as in UTF-16
		if what := plain(text); what != "" && what != "JSON" {
			return "base64 of " + what
		} else if what != "" && jsonWhole.MatchString(strings.TrimSpace(text)) {
			return "base64 of JSON"
		}
		if depth > 1 && base64Run.MatchString(text) {
			if what := encoded(base64Run.FindString(text), depth-1); what != "" {
				return what
			}
		}
	}
	return ""
}

var toStandard = strings.NewReplacer("-", "+", "_", "/")

// whole cuts what is no whole group at the end, unless it decodes.
func whole(run string) string {
	if len(run)%4 == 1 {
		return run[:len(run)-1]
	}
	return run
}

// isDER recognises an ASN.1 SEQUENCE whose stated length is about that of the data, and
// which begins as keys and certificates do. Names in capitals may look like one in part:
// "MIL" and "MIC" are base64 of a SEQUENCE.
func isDER(data []byte) bool {
	if len(data) < 16 || data[0] != 0x30 {
		return false
	}
	length := 0 // how many bytes after the second state the length
	switch {
	case data[1] < 0x80 && int(data[1]) != len(data)-2, data[1] > 0x83:
		return false
	case data[1] == 0x81 && int(data[2]) != len(data)-3, data[1] == 0x82 && data[2] == 0: // under 256 bytes
		return false
	case data[1] > 0x80: // 0x80 is PKCS#12 in BER, of a length that it does not tell
		length = int(data[1] - 0x80)
	}
	const integer, sequence = 0x02, 0x30
	first := data[2+length]
	return first == integer || first == sequence
}

// Quotable reports whether a value may stand in an error: a short word of letters, a
// number, or a URL without user info, query and fragment. Anything else may be a
// secret in the wrong place.
func Quotable(value string) bool {
	if word.MatchString(value) || number.MatchString(value) {
		return true
	}
	u, err := url.Parse(value)
	return err == nil && u.Scheme != "" && u.Host != "" && u.User == nil && u.RawQuery == "" && !u.ForceQuery &&
		!strings.Contains(value, "#") && len(value) <= maxURL && Kind(value) == "" && !hasLongPart(u.Path)
}

// maxURL is longer than the address of an issuer, a platform or a vault.
const maxURL = 120

var (
	word   = regexp.MustCompile(`^(?:[A-Za-z][a-z]{0,14}|[A-Z]{1,12}|[A-Za-z]{1,4}\d{1,2})$`)
	number = regexp.MustCompile(`^\d{1,9}$`)
)

// hasLongPart reports whether a part of a path is longer than words in paths are: it
// may be a key.
func hasLongPart(path string) bool {
	for part := range strings.SplitSeq(path, "/") {
		if len(part) > 40 {
			return true
		}
	}
	return false
}

// Brief is the value in quotation marks if it may be shown, and else its length.
func Brief(value string) string {
	if value != "" && Quotable(value) {
		return `"` + value + `"`
	}
	if n := len([]rune(value)); n != 1 {
		return fmt.Sprintf("a text of %d characters", n)
	}
	return "a text of one character"
}
