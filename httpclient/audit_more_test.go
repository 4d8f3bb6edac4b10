package httpclient_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

// What was not sent for a token has no record: a token from the cache, a signer that
// fails, and the look-up of the issuer's metadata.
func TestAuditOfNothingSent(t *testing.T) {
	t.Parallel()
	srv := newDouble(t)
	broken, err := httpclient.NewKey(lockedSigner{clientKey(t).Signer(), context.Canceled}, "for-tests-only", "")
	if err != nil {
		t.Fatal(err)
	}
	var cached, unsigned auditLog
	source := sourceOf(t, srv, nil, cached.option())
	for range 10 {
		if _, err := source.Token(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	source.Close()
	source = withoutKey(t, srv, keys(broken), unsigned.option())
	_, _ = source.Token(t.Context())
	source.Close()
	for name, tc := range map[string]struct {
		out  *auditLog
		want int
	}{"cached": {&cached, 1}, "not signed": {&unsigned, 0}} {
		if got := tc.out.records(t); len(got) != tc.want {
			t.Errorf("%s: got %d records, want %d: %v", name, len(got), tc.want, got)
		}
	}
}

// A key that Maskinporten does not know is a refusal of its own, by its id.
func TestAuditOfSeveralKeys(t *testing.T) {
	t.Parallel()
	srv := newDouble(t)
	fresh, err := httpclient.NewKey(maskinportentest.NewKey("new").Signer(), "new", "")
	if err != nil {
		t.Fatal(err)
	}
	known, err := httpclient.NewKey(clientKey(t).Signer(), "for-tests-only", "")
	if err != nil {
		t.Fatal(err)
	}
	var out auditLog
	source := withoutKey(t, srv, keys(fresh, known), out.option())
	if _, err := source.Token(t.Context()); err != nil {
		t.Fatal(err)
	}
	source.Close()
	var got []string
	for _, r := range out.records(t) {
		got = append(got, fmt.Sprint(r["key_id"], " ", r["outcome"]))
	}
	if diff := cmp.Diff([]string{"new refused", "for-tests-only received"}, got); diff != "" {
		t.Errorf("got other records than wanted (-want +got):\n%s", diff)
	}
}

// A certificate has no key id.
func TestAuditOfACertificate(t *testing.T) {
	t.Parallel()
	srv := newEnterpriseServer("../testdata/keys/enterprise-root.pem")
	defer srv.Close()
	var out auditLog
	source := sourceOf(t, srv, map[string]any{
		"EncodedJwk": "", "CertificatePkcs12Path": "../testdata/keys/enterprise.p12", "CertificatePkcs12Password": "for-tests-only",
	}, out.option())
	if _, err := source.Token(t.Context()); err != nil {
		t.Fatal(err)
	}
	source.Close()
	if got := out.records(t); len(got) != 1 || got[0]["certificate"] != true || got[0]["key_id"] != nil {
		t.Errorf("got %v, want one record of a certificate", got)
	}
}

// Texas signs itself: its key and the assertion's id are not known.
func TestAuditOfTexas(t *testing.T) {
	t.Parallel()
	srv := newDouble(t)
	texas := newTexas(t, srv)
	var out auditLog
	source := texasSource(t, texas, exchanged(srv), out.option())
	if _, err := source.Token(t.Context()); err != nil {
		t.Fatal(err)
	}
	source.Close()
	got := out.records(t)
	if len(got) != 2 || got[0]["exchange"] != false || got[1]["exchange"] != true {
		t.Fatalf("got %v, want a request and an exchange", got)
	}
	if got[0]["url"] != texas.TokenURL() || got[0]["outcome"] != "received" || got[0]["jti"] != nil || got[0]["key_id"] != nil ||
		got[0]["scope"] != scope || got[1]["scope"] != scope {
		t.Errorf("got %v, want a token received from %s for its scope, without key and assertion", got, texas.TokenURL())
	}
}

// The setting turns the log on; the option does so alone, and its logger wins.
func TestAuditIsTurnedOn(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		changes           map[string]any
		option            bool
		inAudit, inLogger int
	}{
		"by default it is off":       {nil, false, 0, 0},
		"setting":                    {map[string]any{"EnableAuditLog": true}, false, 0, 1},
		"setting as a text":          {map[string]any{"enableauditlog": "1"}, false, 0, 1},
		"setting's other spelling":   {map[string]any{"EnableAuditLogging": true}, false, 0, 1},
		"setting that says false":    {map[string]any{"EnableAuditLog": false}, false, 0, 0},
		"option":                     {nil, true, 1, 0},
		"option and setting":         {map[string]any{"EnableAuditLog": true}, true, 1, 0},
		"option, setting says false": {map[string]any{"EnableAuditLog": false}, true, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := newDouble(t)
			var out auditLog
			var ordinary logs
			// The level is above the records': they come all the same.
			opts := []httpclient.Option{httpclient.WithLogger(ordinary.logger(slog.LevelError))}
			if tc.option {
				opts = append(opts, httpclient.WithAuditLog(slog.New(slog.NewJSONHandler(&out.logs, &slog.HandlerOptions{Level: slog.LevelError}))))
			}
			source := sourceOf(t, srv, tc.changes, opts...)
			if _, err := source.Token(t.Context()); err != nil {
				t.Fatal(err)
			}
			source.Close()
			inLogger := strings.Count(ordinary.String(), "httpclient: token request")
			if got := len(out.records(t)); got != tc.inAudit || inLogger != tc.inLogger {
				t.Errorf("got %d audit records and %d in the ordinary log, want %d and %d", got, inLogger, tc.inAudit, tc.inLogger)
			}
		})
	}
}

// Nil and a logger without a handler turn nothing on, and break nothing.
func TestAuditWithoutALogger(t *testing.T) {
	t.Parallel()
	srv := newDouble(t)
	for name, logger := range map[string]*slog.Logger{"nil": nil, "zero": {}} {
		var ordinary logs
		source := sourceOf(t, srv, map[string]any{"EnableAuditLog": true}, httpclient.WithAuditLog(logger), httpclient.WithLogger(ordinary.logger(0)))
		if _, err := source.Token(t.Context()); err != nil {
			t.Fatal(err)
		}
		source.Close()
		if got := strings.Count(ordinary.String(), "httpclient: token request"); got != 1 {
			t.Errorf("%s: got %d records in the ordinary log, want 1", name, got)
		}
	}
}
