package fxmodule_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/httpclient"
)

func toToken(r *http.Request) bool    { return r.URL.Path == "/token" }
func toExchange(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/authentication/") }
func toVault(r *http.Request) bool    { return strings.HasPrefix(r.URL.Path, "/secrets") }

// toAddress is a transport that asks one address, whatever the host.
func toAddress(s *site, base *http.Transport, address string) *http.Transport {
	transport := base.Clone()
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, network, address)
	}
	s.t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// closed is an address on which nothing listens.
func (s *site) closed() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// stranger is a server with a certificate of its own, for a host.
func (s *site) stranger(host string) *faulttest.Server {
	srv := faulttest.StartTLS(nil, host)
	s.t.Cleanup(srv.Close)
	return srv
}

func addressOf(srv *faulttest.Server) string { return strings.TrimPrefix(srv.URL, "https://") }

// vaultBy sends the vault's requests, and Entra's, through a transport.
func (s *site) vaultBy(transport *http.Transport) {
	s.connect.ClientOptions.Transport = &http.Client{Transport: transport}
	s.connect.ClientOptions.Retry.MaxRetries = -1
	s.connect.CredentialOptions.Transport = &http.Client{Transport: transport}
	s.connect.CredentialOptions.Retry.MaxRetries = -1
}

// tokensBy sends token requests through a transport.
func (s *site) tokensBy(transport *http.Transport) {
	s.client = append(s.client, httpclient.WithTokenTransport(transport))
}

// captive is the page of a network that wants its user to log in.
var captive = faulttest.Fault{Times: -1, Status: 200, Header: http.Header{"Content-Type": {"text/html"}}, Body: "<html><title>Log in to the guest network</title></html>"}

func answering(match func(*http.Request) bool, f faulttest.Fault) faulttest.Fault {
	f.Match = match
	return f
}

var vaultNetworks = []misconfiguration{
	{
		name: "nothing listens at the vault", tells: atStart,
		plant: func(s *site) { s.vaultBy(toAddress(s, &http.Transport{}, s.closed())) },
		names: []string{"kvSetting:SecretUri" + kvFile, "egress"}, cures: []string{vaultURL, "refused"},
	},
	{
		name: "an authority that is not trusted, at the vault", tells: atStart,
		plant: func(s *site) {
			s.vaultBy(toAddress(s, &http.Transport{}, addressOf(s.stranger("my-vault.vault.azure.net"))))
		},
		names: []string{"root certificate", "ca-certificates"}, cures: []string{vaultURL},
	},
	{
		name: "a certificate of another name, at the vault", tells: atStart,
		plant: func(s *site) {
			srv := s.stranger("stranger.example")
			s.vaultBy(toAddress(s, srv.Transport(), addressOf(srv)))
		},
		names: []string{"another server", "DNS"}, cures: []string{"my-vault.vault.azure.net"},
	},
	{
		name: "the vault does not answer", tells: atStart,
		plant: func(s *site) {
			s.connect.Timeout = time.Second
			s.vault.Faults.Add(faulttest.Fault{Match: toVault, Times: -1, Hang: true})
		},
		names: []string{"firewall", "Timeout"}, cures: []string{vaultURL, "1s"},
	},
	{
		name: "Entra does not answer", tells: atStart,
		plant: func(s *site) {
			s.connect.Timeout = time.Second
			s.vault.Faults.Add(faulttest.Fault{Match: func(r *http.Request) bool { return !toVault(r) }, Times: -1, Hang: true})
		},
		names: []string{"firewall", "Timeout"}, cures: []string{"authenticate", "1s"},
	},
	{
		name: "a captive page in the vault's place", tells: atStart,
		plant: func(s *site) { s.vault.Faults.Add(captive) },
		names: []string{"log-in page"}, cures: []string{vaultURL}, never: []string{"guest network"},
	},
	{
		name: "a captive page in Entra's place", tells: atStart,
		plant: func(s *site) {
			s.vault.Faults.Add(answering(func(r *http.Request) bool { return !toVault(r) }, captive))
		},
		names: []string{"authority", "log-in page"}, cures: []string{"authenticate"}, never: []string{"guest network"},
	},
}

var tokenNetworks = []misconfiguration{
	{
		name: "nothing listens at Maskinporten", tells: atRequest,
		plant: func(s *site) { s.tokensBy(toAddress(s, &http.Transport{}, s.closed())) },
		names: []string{"Environment (appsettings.json)", "egress"}, cures: []string{issuerURL, "refused"},
	},
	{
		name: "an authority that is not trusted, at Maskinporten", tells: atRequest,
		plant: func(s *site) {
			s.tokensBy(toAddress(s, &http.Transport{}, addressOf(s.stranger("test.maskinporten.no"))))
		},
		names: []string{"root certificate", "ca-certificates"}, cures: []string{issuerURL},
	},
	{
		name: "a certificate of another name, at Maskinporten", tells: atRequest,
		plant: func(s *site) {
			srv := s.stranger("stranger.example")
			s.tokensBy(toAddress(s, srv.Transport(), addressOf(srv)))
		},
		names: []string{"another server", "DNS"}, cures: []string{"test.maskinporten.no"},
	},
	{
		name: "Maskinporten does not answer", tells: atRequest,
		plant: func(s *site) {
			s.timeout = time.Second
			s.porten.Faults.Add(faulttest.Fault{Match: toToken, Times: -1, Hang: true})
		},
		names: []string{"more time", "test.maskinporten.no"}, cures: []string{"maskinportentest-client", "deadline"},
	},
	{
		name: "a captive page in Maskinporten's place", tells: atRequest,
		plant: func(s *site) { s.porten.Faults.Add(answering(toToken, captive)) },
		names: []string{"proxy"}, cures: []string{issuerURL, "log-in page"}, never: []string{"guest network"},
	},
	{
		name: "a captive page in the exchange's place", tells: atRequest,
		plant: func(s *site) { s.porten.Faults.Add(answering(toExchange, captive)) },
		names: []string{"proxy"}, cures: []string{"platform.tt02.altinn.no", "log-in page"}, never: []string{"guest network"},
	},
	{
		name: "a redirect of the token request", tells: atRequest,
		plant: func(s *site) {
			s.porten.Faults.Add(faulttest.Fault{Match: toToken, Times: -1, Status: 302, Header: http.Header{"Location": {"https://login.example/"}}})
		},
		names: []string{"redirect"}, cures: []string{issuerURL, "302"},
	},
	{
		name: "TLS that is not spoken", tells: atRequest,
		plant: func(s *site) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				s.t.Fatal(err)
			}
			plain := &http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: time.Second}
			go func() { _ = plain.Serve(l) }()
			s.t.Cleanup(func() { _ = plain.Close() })
			s.tokensBy(toAddress(s, &http.Transport{}, l.Addr().String()))
		},
		names: []string{"TLS"}, cures: []string{issuerURL},
	},
}

// proxies need a process each, because Go reads the proxy's variables once.
var proxies = []misconfiguration{
	{
		name: "a proxy that wants a password", tells: atRequest,
		environ: func(proxy string) []string { return []string{"HTTPS_PROXY=" + proxy} },
		plant:   (*site).ownTransport,
		names:   []string{"HTTPS_PROXY", "proxy"}, cures: []string{"407", "127.0.0.1:PORT"},
	},
	{
		name: "a proxy that is not there", tells: atRequest,
		environ: func(string) []string { return []string{"https_proxy=http://127.0.0.1:1"} },
		plant:   (*site).ownTransport,
		names:   []string{"https_proxy", "proxy"}, cures: []string{"refused", "127.0.0.1:PORT"},
	},
	{
		name: "a proxy that is not a URL", tells: atRequest,
		environ: func(string) []string { return []string{"HTTPS_PROXY=http://user:CANARY@proxy.example:eighty"} },
		plant:   (*site).ownTransport,
		names:   []string{"HTTPS_PROXY", "URL"}, never: []string{"CANARY"},
	},
	{
		name: "a proxy whose password is pasted", tells: atRequest,
		environ: func(proxy string) []string {
			return []string{"HTTPS_PROXY=" + strings.Replace(proxy, "://", "://user:CANARY@", 1)}
		},
		plant: (*site).ownTransport,
		names: []string{"HTTPS_PROXY", "proxy"}, cures: []string{"407"}, never: []string{"CANARY"},
	},
	{
		name: "the vault's proxy wants a password", tells: atStart,
		environ: func(proxy string) []string { return []string{"HTTPS_PROXY=" + proxy} },
		plant:   (*site).ownVaultTransport,
		names:   []string{"HTTPS_PROXY", "proxy"}, cures: []string{"407", "127.0.0.1:PORT", vaultURL},
	},
	{
		name: "the vault's proxy is not there", tells: atStart,
		environ: func(string) []string { return []string{"HTTPS_PROXY=http://127.0.0.1:1"} },
		plant:   (*site).ownVaultTransport,
		names:   []string{"HTTPS_PROXY", "proxy"}, cures: []string{"refused", "127.0.0.1:PORT", vaultURL},
	},
	{
		name: "the vault's proxy is not a URL", tells: atStart,
		environ: func(string) []string { return []string{"HTTPS_PROXY=http://user:CANARY@proxy.example:eighty"} },
		plant:   (*site).ownVaultTransport,
		names:   []string{"HTTPS_PROXY", "URL"}, never: []string{"CANARY"},
	},
}

// ownTransport leaves token requests to the client's own transport.
func (s *site) ownTransport() {
	s.client = []httpclient.Option{httpclient.WithBaseTransport(s.porten.Transport())}
}

// ownVaultTransport leaves the vault to the provider's own transport.
func (s *site) ownVaultTransport() {
	s.connect.ClientOptions.Transport, s.connect.CredentialOptions.Transport = nil, nil
	s.connect.ClientOptions.Retry.MaxRetries, s.connect.CredentialOptions.Retry.MaxRetries = -1, -1
}

// answersWith makes the API refuse every token.
func answersWith(status int, challenge string) func(*site) {
	return func(s *site) {
		s.api = func(w http.ResponseWriter, _ *http.Request) {
			if challenge != "" {
				w.Header().Set("WWW-Authenticate", challenge)
			}
			w.WriteHeader(status)
			fmt.Fprint(w, "no")
		}
	}
}

var apis = []misconfiguration{
	{
		name: "the API refuses the token", tells: inLog,
		plant: answersWith(401, `Bearer error="invalid_token", error_description="The issuer is not accepted"`),
		names: []string{"Environment (appsettings.json)", "ExhangeToAltinnToken (appsettings.json)"},
		cures: []string{"platform.tt02.altinn.no", "401", "The issuer is not accepted"},
	},
	{
		name: "the API refuses the token without a reason", tells: inLog,
		plant: func(s *site) { answersWith(401, "")(s); s.section["ExhangeToAltinnToken"] = false },
		names: []string{"Environment (appsettings.json)", "ExhangeToAltinnToken (appsettings.json)"}, cures: []string{"401"},
	},
	{
		name: "the API wants another scope", tells: inLog,
		plant: answersWith(403, `Bearer error="insufficient_scope", scope="altinn:serviceowner/instances.write"`),
		names: []string{"Scope (appsettings.json)"}, cures: []string{"403", "altinn:serviceowner/instances.write"},
	},
	{
		name: "a request with an Authorization header of its own", tells: inSteps,
		plant: func(s *site) {
			s.pasted["the other token"] = "CANARY-0123456789"
			s.header.Set("Authorization", "Bearer CANARY-0123456789")
			s.section["EnableDebugLog"] = true
			answersWith(401, "")(s)
		},
		names: []string{"no token", "Authorization", "OverwriteAuthorizationHeader"},
	},
}
