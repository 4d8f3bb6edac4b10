package httpclient

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portnokkel/portnokkel/httpclient/internal/tokencache"
	"github.com/portnokkel/portnokkel/internal/netcause"
)

// Retries are spread, so that many machines do not come back together.
func TestRetriesAreSpread(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shortest, longest := time.Hour, time.Duration(0)
		for range 20 {
			start, tries := time.Now(), 0
			_, err := retry(t.Context(), func(context.Context) (*Token, error) {
				tries++
				return nil, &TokenError{Temporary: true}
			})
			took := time.Since(start)
			if err == nil || tries != 3 || took < 300*time.Millisecond || took > 600*time.Millisecond {
				t.Errorf("got %d tries in %v and %v, want 3 in 300 to 600 ms and an error", tries, took, err)
			}
			shortest, longest = min(shortest, took), max(longest, took)
		}
		if longest-shortest < 100*time.Millisecond { // of 300
			t.Errorf("got pauses from %v to %v, want them spread", shortest, longest)
		}
	})
}

// A permanent failure of the network concerns every token.
func TestPermanentNetworkFailuresAreClientWide(t *testing.T) {
	t.Parallel()
	proxy := func(status int) error {
		return netcause.RefusedByProxy(t.Context(), &url.URL{Host: "p"}, nil, &http.Response{StatusCode: status})
	}
	for err, want := range map[error]bool{
		http.ErrSchemeMismatch: true, proxy(407): true, proxy(503): false, proxy(429): false, proxy(408): false, io.EOF: false,
	} {
		if got := classify(noAnswer(asked{}, nil, err)); got.ClientWide != want || got.Temporary == want {
			t.Errorf("%v: got %+v, want client-wide %t", err, got, want)
		}
	}
}

// A server's words are redacted of what the request kept secret, and of parts of it.
func TestRedact(t *testing.T) {
	t.Parallel()
	const secret = "0123456789abcdefghijklmnopqrstuvwxyz"
	for name, c := range map[string]struct{ text, want string }{
		"all of it":                   {"got " + secret + " and", "got [redacted] and"},
		"a part of 16 characters":     {"got " + secret[7:23] + " and", "got [redacted] and"},
		"a part of 15 characters":     {"got " + secret[7:22] + " and", "got " + secret[7:22] + " and"},
		"two parts that touch":        {secret[:16] + secret[20:], "[redacted]"},
		"two parts":                   {secret[:16] + " " + secret[20:], "[redacted] [redacted]"},
		"a long part after a short":   {"012345 " + secret[3:30], "012345 [redacted]"},
		"a short secret":              {"user 12345678901, 1234567890", "user [redacted], 1234567890"},
		"a short secret twice":        {"1234567890112345678901", "[redacted]"},
		"nothing":                     {"nothing of it", "nothing of it"},
		"part of it, other alphabets": {"æ" + secret[2:20] + "ø", "æ[redacted]ø"},
	} {
		if got := redact(c.text, []string{secret, "12345678901", ""}); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

// What is quoted is short and printable, however long the answer is.
func TestQuote(t *testing.T) {
	t.Parallel()
	secret := strings.Repeat("s3cret", 10)
	for name, c := range map[string]struct{ text, want string }{
		"line breaks":                {"a\nb\x00c\u2028d", "a b c d"},
		"not UTF-8":                  {"a\xffb", "a?b"},
		"long":                       {strings.Repeat("x", 5000), strings.Repeat("x", 999) + "…"},
		"a secret where it is cut":   {strings.Repeat("x", 990) + secret, strings.Repeat("x", 990) + "[redacted]"},
		"long enough for a thousand": {strings.Repeat("y", 1000), strings.Repeat("y", 1000)},
	} {
		if got := quote(c.text, []string{secret}); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

// The cache's own errors pass through as they are.
func TestErrorsOfTheCache(t *testing.T) {
	t.Parallel()
	err := tokencache.ErrNoResult
	if got := dated(err, 2, time.Now(), time.Now()); got != err { //nolint:errorlint // the error itself
		t.Errorf("dated: got %v, want %v", got, err)
	}
	if got := shared(err); got != err { //nolint:errorlint // the error itself
		t.Errorf("shared: got %v, want %v", got, err)
	}
	if got := classify(err); !got.Temporary || got.ClientWide {
		t.Errorf("classify: got %+v, want a temporary failure", got)
	}
	if got, want := (&source{}).explained(err).Error(), "httpclient: temporary failure: the fetch ended without a result"; got != want {
		t.Errorf("explained: got %q, want %q", got, want)
	}
}
