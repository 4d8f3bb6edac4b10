package azure

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	azruntime "github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
)

// lasting is a client of azsecrets that lives long, over a transport.
func lasting(t *testing.T, cred azcore.TokenCredential, carrier policy.Transporter, retry policy.RetryOptions) (*Lasting, *azsecrets.Client) {
	t.Helper()
	var options azsecrets.ClientOptions
	options.Transport, options.Retry = carrier, retry
	l, cred := Keep(Options{VaultURL: vaultURL, Credential: cred, Conns: 3, Setting: "Address"}, &options.ClientOptions)
	client, err := azsecrets.NewClient(vaultURL, cred, &options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l, client
}

// read reads a secret in a call of its own.
func read(ctx context.Context, l *Lasting, client *azsecrets.Client) (*Session, error) {
	call, s := l.Call(ctx)
	_, err := Await(call, func() (azsecrets.GetSecretResponse, error) { return client.GetSecret(call, "A", "", nil) })
	return s, err
}

// A call that used up its tries, or met an unknown host, leaves the next one all of its own.
func TestCallsCountApart(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		retry  policy.RetryOptions
		answer func() (*http.Response, error)
		want   int
	}{
		"a status":           {answer: func() (*http.Response, error) { return answer(503, "{}"), nil }, want: 4},
		"a lost connection":  {answer: func() (*http.Response, error) { return nil, syscall.ECONNRESET }, want: 4},
		"an unknown host":    {answer: func() (*http.Response, error) { return nil, &net.DNSError{IsNotFound: true} }, want: 2},
		"the caller's count": {retry: policy.RetryOptions{MaxRetries: 1}, answer: func() (*http.Response, error) { return answer(503, "{}"), nil }, want: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tries := 0
				l, client := lasting(t, &credential{}, transporter(func(r *http.Request) (*http.Response, error) {
					tries++
					resp, err := c.answer()
					if resp != nil {
						resp.Request = r
					}
					return resp, err
				}), c.retry)
				for range 3 {
					tries = 0
					s, err := read(t.Context(), l, client)
					if err == nil || tries != c.want {
						t.Errorf("got %v after %d tries, want a failure after %d", err, tries, c.want)
					}
					if d := s.Diagnose(t.Context(), StepSign, err); d.Step != StepSign || d.Reason == "" {
						t.Errorf("got %+v, want the step and a reason", d)
					}
				}
			})
		})
	}
}

// What one call was answered is not told about another.
func TestCallsAreDiagnosedApart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hang := false
		l, client := lasting(t, &credential{}, transporter(func(r *http.Request) (*http.Response, error) {
			if hang {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}
			resp := answer(429, "{}")
			resp.Request = r
			return resp, nil
		}), policy.RetryOptions{})
		for _, c := range []struct {
			hang bool
			want string
		}{{false, "429 Too Many Requests: the vault is asked for too many signatures"}, {true, "no result within the Timeout of 2s"}} {
			hang = c.hang
			ctx, cancel := context.WithTimeoutCause(t.Context(), 2*time.Second, &LateError{2 * time.Second})
			defer cancel()
			s, err := read(ctx, l, client)
			if d := s.Diagnose(ctx, StepSign, err); d.Reason != c.want {
				t.Errorf("got %+v, want the reason %q", d, c.want)
			}
		}
	})
}

// The token is asked for once. A call that waits for it says so, and the next does not.
func TestCallsShareTheToken(t *testing.T) {
	t.Parallel()
	cred := &credential{}
	l, client := lasting(t, cred, transporter(func(r *http.Request) (*http.Response, error) {
		resp, err := challenged(r, goodChallenge)
		resp.Body = io.NopCloser(strings.NewReader(`{"value":"x"}`))
		return resp, err
	}), policy.RetryOptions{})
	for range 3 {
		s, err := read(t.Context(), l, client)
		if err != nil {
			t.Fatal(err)
		}
		// A code that echoes the token is not quoted, whichever call got the token.
		if got := s.code("token-for-tests-only"); got != "" {
			t.Errorf("got the code %q, want none", got)
		}
	}
	if len(cred.asked) != 1 {
		t.Errorf("got %d requests for a token, want 1", len(cred.asked))
	}
	// Outside of a call the client works too.
	if _, err := client.GetSecret(t.Context(), "A", "", nil); err != nil {
		t.Errorf("got %v, want the secret", err)
	}

	refused := errors.New("refused")
	l, client = lasting(t, &credential{err: refused}, transporter(func(r *http.Request) (*http.Response, error) {
		return challenged(r, goodChallenge)
	}), policy.RetryOptions{})
	s, err := read(t.Context(), l, client)
	if d := s.Diagnose(t.Context(), StepSign, err); d.Step != StepAuthenticate || !errors.Is(err, refused) {
		t.Errorf("got %+v of %v, want the credential's failure", d, err)
	}
	if _, err := client.GetSecret(t.Context(), "A", "", nil); !errors.Is(err, refused) {
		t.Errorf("got %v outside of a call, want the credential's error", err)
	}
}

// A credential that hangs is what a call waited for, and not what the next one did.
func TestCallThatWaitedForAToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, client := lasting(t, hangingCredential{}, transporter(func(r *http.Request) (*http.Response, error) {
			return challenged(r, goodChallenge)
		}), policy.RetryOptions{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		s, err := read(ctx, l, client)
		if d := s.Diagnose(ctx, StepSign, err); d.Step != StepAuthenticate {
			t.Errorf("got %+v, want a call that waited for a token", d)
		}
		_, next := l.Call(t.Context())
		if d := next.Diagnose(ctx, StepSign, context.DeadlineExceeded); d.Step != StepSign {
			t.Errorf("got %+v, want a call that did not wait for a token", d)
		}
	})
}

type hangingCredential struct{}

func (hangingCredential) GetToken(ctx context.Context, _ policy.TokenRequestOptions) (azcore.AccessToken, error) {
	<-ctx.Done()
	return azcore.AccessToken{}, ctx.Err()
}

// A transport that is made here keeps its connections for long, and notices dead ones. A
// caller's client stays as it is.
func TestLastingTransport(t *testing.T) {
	t.Parallel()
	var options azcore.ClientOptions
	l, _ := Keep(Options{VaultURL: vaultURL, Credential: &credential{}, Conns: 3}, &options)
	defer l.Close()
	transport := l.wire.next.(*http.Client).Transport.(*http.Transport)
	if transport.IdleConnTimeout != lastingIdleTimeout || transport.HTTP2 == nil || transport.HTTP2.SendPingTimeout != pingAfter || transport.HTTP2.PingTimeout != pingTimeout || transport.MaxIdleConns != 3 {
		t.Errorf("got %+v, want a transport that lasts", transport)
	}
	given := &http.Transport{}
	options = azcore.ClientOptions{Transport: &http.Client{Transport: given}}
	callers, _ := Keep(Options{VaultURL: vaultURL, Credential: &credential{}, Conns: 3}, &options)
	callers.Close()
	if given.HTTP2 != nil || given.IdleConnTimeout != 0 {
		t.Errorf("got %+v, want the caller's transport untouched", given)
	}
}

// A listing ends with its context, at an error of its reader's, and before it leaves the
// vault or goes round in circles.
func TestEachPage(t *testing.T) {
	t.Parallel()
	link := func(text string) *string { return &text }
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		links []*string // of each page
		fail  error     // of the third page
		read  error     // of the reader
		want  error
		pages int
	}{
		"one page":        {links: []*string{nil}, pages: 1},
		"an empty link":   {links: []*string{link("")}, pages: 1},
		"three pages":     {links: []*string{link(vaultURL + "/1"), link("/2"), nil}, pages: 3},
		"another host":    {links: []*string{link("https://other.example/1"), nil}, want: errOtherHost, pages: 1},
		"in circles":      {links: []*string{link(vaultURL + "/1"), link(vaultURL + "/1"), nil}, want: errLoop, pages: 2},
		"a broken page":   {links: []*string{link(vaultURL + "/1"), link(vaultURL + "/2"), nil}, fail: broken, want: broken, pages: 2},
		"a broken reader": {links: []*string{link(vaultURL + "/1"), nil}, read: broken, want: broken, pages: 1},
	} {
		l, _ := lasting(t, &credential{}, transporter(nil), policy.RetryOptions{})
		ctx, s := l.Call(t.Context())
		fetched, pages := 0, 0
		pager := azruntime.NewPager(azruntime.PagingHandler[int]{
			More: func(page int) bool { return c.links[page] != nil && *c.links[page] != "" },
			Fetcher: func(context.Context, *int) (int, error) {
				fetched++
				if fetched == 3 && c.fail != nil {
					return 0, c.fail
				}
				return fetched - 1, nil
			},
		})
		err := EachPage(ctx, s, pager, func(page int) (*string, error) {
			pages++
			return c.links[page], c.read
		})
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) || pages != c.pages {
			t.Errorf("%s: got %v after %d pages, want %v after %d", name, err, pages, c.want, c.pages)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	wake := make(chan struct{})
	defer close(wake)
	l, _ := lasting(t, &credential{}, transporter(nil), policy.RetryOptions{})
	ctx, s := l.Call(ended)
	deaf := azruntime.NewPager(azruntime.PagingHandler[int]{
		More: func(int) bool { return false },
		Fetcher: func(context.Context, *int) (int, error) {
			<-wake
			return 0, nil
		},
	})
	if err := EachPage(ctx, s, deaf, func(int) (*string, error) { return nil, nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

// Strange is told as the answer of no vault.
func TestStrange(t *testing.T) {
	t.Parallel()
	l, _ := lasting(t, &credential{}, transporter(nil), policy.RetryOptions{})
	_, s := l.Call(t.Context())
	if d := s.Diagnose(t.Context(), StepSign, Strange("it is odd")); d.Reason != "it is odd" || d.Hint != strings.ReplaceAll(cureAddress, "{VaultURL}", "Address") {
		t.Errorf("got %+v, want the text and the cure", d)
	}
}
