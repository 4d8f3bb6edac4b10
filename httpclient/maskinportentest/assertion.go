package maskinportentest

import (
	"crypto"
	"crypto/rsa"
	_ "crypto/sha256" // RS256
	_ "crypto/sha512" // RS384 and RS512
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// hashes are the algorithms that Maskinporten documents.
var hashes = map[string]crypto.Hash{
	"RS256": crypto.SHA256,
	"RS384": crypto.SHA384,
	"RS512": crypto.SHA512,
}

// assertion is a compact JWS in its parts. Nothing about it is verified.
type assertion struct {
	header, claims       map[string]any
	rawHeader, rawClaims []byte
	signed               string // the bytes under the signature
	signature            []byte
}

func parseAssertion(compact string) (assertion, *refusal) {
	// Go's base64 ignores line breaks, which a JWS must not have.
	parts := strings.Split(compact, ".")
	if len(parts) != 3 || strings.ContainsAny(compact, "\r\n") {
		return assertion{}, malformed("Not a compact JWS")
	}
	var raw [3][]byte
	for i, part := range parts {
		b, err := base64.RawURLEncoding.Strict().DecodeString(part)
		if err != nil {
			return assertion{}, malformed("Not a compact JWS")
		}
		raw[i] = b
	}
	a := assertion{rawHeader: raw[0], rawClaims: raw[1], signed: parts[0] + "." + parts[1], signature: raw[2]}
	var err error
	if a.header, err = decodeObject(a.rawHeader); err != nil {
		return assertion{}, malformed("JWT header: " + err.Error())
	}
	if a.claims, err = decodeObject(a.rawClaims); err != nil {
		return assertion{}, malformed("JWT claims: " + err.Error())
	}
	return a, nil
}

// verify judges an assertion: who signed it, then when, then what it asks for.
func (s *Server) verify(compact string, replayed bool) (Token, *refusal) {
	a, bad := parseAssertion(compact)
	if bad != nil {
		return Token{}, bad
	}
	now := s.now()
	iss, _ := a.claims["iss"].(string)
	client, known := s.client(iss)
	if !known {
		return Token{}, &refusal{http.StatusUnauthorized, "invalid_client", "MP-100", "Invalid assertion. Client authentication failed. Client not found"}
	}
	if bad := a.verifySignature(client, now); bad != nil {
		return Token{}, bad
	}
	if bad := a.verifyClaims(s.Issuer(), now); bad != nil {
		return Token{}, bad
	}
	if replayed {
		return Token{}, notValid("MP-012", "Grant is used before")
	}
	scopes, bad := s.verifyAccess(a, client)
	if bad != nil {
		return Token{}, bad
	}
	amr := "private_key_jwt"
	if _, given := a.header["x5c"]; given {
		amr = "virksomhetssertifikat"
	}
	return Token{
		ClientID: iss, Scopes: scopes, Assertion: a.claims, IssuedAt: now,
		orgNo: client.organisation(), clientAMR: amr,
	}, nil
}

func (a assertion) verifySignature(client registration, now time.Time) *refusal {
	alg, _ := a.header["alg"].(string)
	hash := hashes[alg]
	if hash == 0 {
		return authFailed("", "Invalid JWT. The algorithm must be RS256, RS384 or RS512")
	}
	if bad := a.verifyHeader(); bad != nil {
		return bad
	}
	key, bad := a.key(client, alg, now)
	if bad != nil {
		return bad
	}
	h := hash.New()
	h.Write([]byte(a.signed))
	if rsa.VerifyPKCS1v15(key, hash, h.Sum(nil), a.signature) != nil {
		return authFailed("MP-124", "Invalid JWT signature")
	}
	return nil
}

// verifyHeader accepts the documented members only. RFC 7515 section 4.1 has more,
// which no client needs to send: "jwk" may leak a private key.
func (a assertion) verifyHeader() *refusal {
	for name := range a.header {
		switch name {
		case "alg", "kid", "x5c", "typ":
		default:
			return authFailed("", "Invalid JWT. The header member "+strconv.Quote(name)+" is not supported")
		}
	}
	if typ, given := a.header["typ"]; given {
		if t, _ := typ.(string); !strings.EqualFold(t, "JWT") {
			return authFailed("", "Invalid JWT. The header typ must be JWT")
		}
	}
	return nil
}

// key finds the key that the header names, by kid or by a certificate chain.
func (a assertion) key(client registration, alg string, now time.Time) (*rsa.PublicKey, *refusal) {
	if x5c, given := a.header["x5c"]; given {
		if _, both := a.header["kid"]; both {
			return nil, authFailed("", "Invalid JWT. The header has both kid and x5c")
		}
		return client.certificateKey(x5c, now)
	}
	kid, _ := a.header["kid"].(string)
	if kid == "" {
		return nil, authFailed("", "Invalid JWT. The client requires pre-registered jwk and no key identifier (kid) provided")
	}
	return client.publicKey(kid, alg, now)
}

// certificateKey reads an enterprise certificate with its chain, leaf first
// (RFC 7515 section 4.1.6), up to one of the client's roots.
func (c Client) certificateKey(x5c any, now time.Time) (*rsa.PublicKey, *refusal) {
	chain, ok := parseChain(x5c)
	if !ok {
		return nil, authFailed("MP-123", "Invalid JWT header x5c")
	}
	leaf := chain[0]
	opts := x509.VerifyOptions{
		Roots:         x509.NewCertPool(),
		Intermediates: x509.NewCertPool(),
		CurrentTime:   now,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}
	for _, root := range c.Roots {
		if root != nil {
			opts.Roots.AddCert(root)
		}
	}
	for _, cert := range chain[1:] {
		opts.Intermediates.AddCert(cert)
	}
	key, isRSA := leaf.PublicKey.(*rsa.PublicKey)
	if _, err := leaf.Verify(opts); err != nil || !isRSA || key.N.BitLen() < 2048 {
		return nil, authFailed("MP-120", "The JWT is signed with an invalid certificate")
	}
	if c.OrgNo != "" && !madeOutTo(leaf, c.OrgNo) {
		return nil, authFailed("MP-122", "Invalid JWT. Invalid organization number for client. Does not match certificate orgno")
	}
	return key, nil
}

func parseChain(x5c any) ([]*x509.Certificate, bool) {
	entries, _ := x5c.([]any)
	var chain []*x509.Certificate
	for _, entry := range entries {
		text, _ := entry.(string)
		der, err := base64.StdEncoding.Strict().DecodeString(text)
		if err != nil || strings.ContainsAny(text, "\r\n") {
			return nil, false
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, false
		}
		if n := len(chain); n > 0 && chain[n-1].CheckSignatureFrom(cert) != nil {
			return nil, false
		}
		chain = append(chain, cert)
	}
	return chain, len(chain) > 0
}

// madeOutTo looks for the organisation in the two places that Norwegian enterprise
// certificates use: serialNumber, or organizationIdentifier with the prefix NTRNO-.
func madeOutTo(cert *x509.Certificate, orgNo string) bool {
	if cert.Subject.SerialNumber == orgNo {
		return true
	}
	for _, name := range cert.Subject.Names {
		if name.Type.String() == "2.5.4.97" && name.Value == "NTRNO-"+orgNo {
			return true
		}
	}
	return false
}
