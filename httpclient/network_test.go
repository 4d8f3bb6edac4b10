package httpclient_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/internal/netcause/causetest"
)

// networkError asks for a token at an issuer through a transport.
func networkError(t *testing.T, issuer string, transport http.RoundTripper) *httpclient.TokenError {
	t.Helper()
	s := httpclient.MaskinportenSettings{Environment: issuer, ClientID: "id", Scope: "s", JWK: httpclient.NewSecret(keyFile(t, "client.jwk.json"))}
	source, err := httpclient.NewTokenSource(s, httpclient.WithTokenTransport(transport), httpclient.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	return failedToken(t, source)
}

// failedToken is why there is no token. It quotes no server.
func failedToken(t *testing.T, source *httpclient.TokenSource) *httpclient.TokenError {
	t.Helper()
	_, err := source.Token(t.Context())
	var failed *httpclient.TokenError
	if !errors.As(err, &failed) {
		t.Fatalf("got %v, want a TokenError", err)
	}
	if text := prints(err); strings.Contains(text, "CANARY") || strings.Contains(text, causetest.Canary) {
		t.Errorf("got an error that quotes the answer, want no quotation: %s", text)
	}
	if errors.Is(err, httpclient.ErrTemporary) != failed.Temporary {
		t.Errorf("got temporary: %t, want %t", !failed.Temporary, failed.Temporary)
	}
	return failed
}

// what is what happened, with the answer's status.
func what(failed *httpclient.TokenError) string {
	if failed.StatusCode == 0 {
		return fmt.Sprint(failed.Err)
	}
	return fmt.Sprintf("%d %s: %v", failed.StatusCode, http.StatusText(failed.StatusCode), failed.Err)
}

// Every cause on the way to Maskinporten and on the way to Altinn's exchange. Both tell
// it in the words that provider uses for a vault and Entra.
func TestNetworkCauses(t *testing.T) {
	t.Parallel()
	cases := causetest.Cases(t)
	const address = "https://" + causetest.Host
	t.Run("", func(t *testing.T) { // so that the servers outlive their clients
		for _, c := range cases {
			t.Run(c.Name, func(t *testing.T) {
				t.Parallel()
				defer c.Transport.CloseIdleConnections()
				exchanging := sourceOf(t, newDouble(t), map[string]any{"ExhangeToAltinnToken": true, "TokenExchangeEnvironment": address})
				httpclient.ExchangeThrough(exchanging, c.Transport)
				for setting, failed := range map[string]*httpclient.TokenError{
					"Environment":              networkError(t, address+"/", c.Transport),
					"TokenExchangeEnvironment": failedToken(t, exchanging),
				} {
					if got := causetest.General(what(failed), setting); got != c.What {
						t.Errorf("%s: got  %s\nwant %s", failed.Step, got, c.What)
					}
					if got := causetest.General(failed.Hint, setting); got != c.Cure {
						t.Errorf("%s: got the cure %s\nwant         %s", failed.Step, got, c.Cure)
					}
					if permanent := c.Permanent || c.Name == "blocked by a page"; failed.Temporary == permanent {
						t.Errorf("%s: got temporary %t, want %t", failed.Step, failed.Temporary, !permanent)
					}
				}
			})
		}
	})
}

// A stream that the server resets.
func TestResetStream(t *testing.T) {
	t.Parallel()
	dropping := newDouble(t)
	dropping.Faults.Add(faulttest.Fault{Match: toToken, Times: -1, Drop: true})
	if failed := networkError(t, dropping.Issuer(), dropping.Transport()); what(failed) != "the server closed the connection (HTTP/2)" || !failed.Temporary {
		t.Errorf("got %s, want a temporary failure of the connection", what(failed))
	}
}

// What takes time, or cannot be had on every machine, is played in memory.
func TestNetworkErrorsInMemory(t *testing.T) {
	t.Parallel()
	// talk is a transport over a connection whose other end the function is.
	talk := func(server func(net.Conn, *bufio.Reader)) *http.Transport {
		dial := func(context.Context, string, string) (net.Conn, error) {
			client, far := net.Pipe()
			go func() {
				server(far, bufio.NewReader(far))
				_ = far.Close()
			}()
			return client, nil
		}
		return &http.Transport{DialTLSContext: dial}
	}
	say := func(raw string) *http.Transport {
		return talk(func(c net.Conn, r *bufio.Reader) {
			_, _ = http.ReadRequest(r)
			_, _ = io.WriteString(c, raw)
		})
	}
	silent := func(c net.Conn, r *bufio.Reader) { _, _ = io.Copy(io.Discard, r) }
	handshake := talk(silent)
	handshake.DialContext, handshake.DialTLSContext = handshake.DialTLSContext, nil
	handshake.TLSHandshakeTimeout = 5 * time.Second
	header := talk(silent)
	header.ResponseHeaderTimeout = 6 * time.Second
	const (
		cureTime   = "check the egress rules, the firewall and the proxy"
		cureBroken = "try again later; if it stays so, a proxy or firewall on the way cuts the connection"
		elsewhere  = "check Environment and the proxy: something else answers in the server's place"
	)
	cases := []struct {
		name       string
		transport  http.RoundTripper
		what, cure string
	}{
		{"TLS handshake hangs", handshake, "no answer in time during the TLS handshake", cureTime},
		{"header hangs", header, "no answer in time while waiting for the answer", cureTime},
		{"answer hangs", talk(silent), "no answer in time while waiting for the answer", cureTime},
		{"body hangs", talk(func(c net.Conn, r *bufio.Reader) {
			_, _ = http.ReadRequest(r)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nCANARY")
			_, _ = io.Copy(io.Discard, r)
		}), "no answer in time while reading the answer", cureTime},
		{"closed", say(""), "the connection ended before the answer did", cureBroken},
		{"truncated", say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nCANARY"), "the connection ended before the answer did", cureBroken},
		{"too long", say("HTTP/1.1 200 OK\r\n\r\nCANARY" + strings.Repeat("x", 1<<20)), "the answer is over 1048576 bytes", elsewhere},
		{"no status line", say("CANARY\r\n\r\n"), "no readable answer (*errors.errorString)", elsewhere},
		{"no status", say("HTTP/1.1 CANARY\r\n\r\n"), "no readable answer (*errors.errorString)", elsewhere},
		{"no header", say("HTTP/1.1 200 OK\r\nCANARY\r\n\r\n"), "no readable answer (textproto.ProtocolError)", elsewhere},
		{"no length", say("HTTP/1.1 200 OK\r\nContent-Length: CANARY\r\n\r\n"), "no readable answer (*errors.errorString)", elsewhere},
		{"no encoding", say("HTTP/1.1 200 OK\r\nTransfer-Encoding: CANARY\r\n\r\n"), "no readable answer (*http.unsupportedTEError)", elsewhere},
		{"no chunk", say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nCANARY\r\n"), "no readable answer (*errors.errorString)", elsewhere},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				if closer, ok := c.transport.(*http.Transport); ok {
					defer closer.CloseIdleConnections()
				}
				failed := networkError(t, "test", c.transport)
				if what(failed) != c.what || failed.Hint != c.cure || !failed.Temporary || failed.URL != "https://test.maskinporten.no/token" {
					t.Errorf("got  %s, %s\nwant %s, %s", what(failed), failed.Hint, c.what, c.cure)
				}
			})
		})
	}
}

// A redirect is not followed, wherever it leads.
func TestRedirectToNoAddress(t *testing.T) {
	t.Parallel()
	redirect := roundTripper(func(*http.Request) (*http.Response, error) {
		return answer(http.StatusFound, http.Header{"Location": {"https://%zzCANARY/"}}), nil
	})
	if failed := networkError(t, "test", redirect); failed.StatusCode != http.StatusFound || failed.Temporary || failed.Hint == "" {
		t.Errorf("got %+v, want a redirect that is an error", failed)
	}
}
