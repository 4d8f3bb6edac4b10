package maskinportentest

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"strings"
	"time"
)

// delegationSource is where delegations are made, as Digdir's list of scopes has it.
const delegationSource = "https://www.altinn.no/"

// issue makes a Maskinporten token for what a client was allowed, and keeps it.
// https://docs.digdir.no/docs/Maskinporten/maskinporten_protocol_token
func (s *Server) issue(t Token) string {
	t.ExpiresAt = t.IssuedAt.Add(s.cfg.tokenLife)
	claims := map[string]any{
		"iss":        s.Issuer(),
		"client_amr": t.clientAMR,
		"token_type": "Bearer",
		"iat":        t.IssuedAt.Unix(),
		"exp":        t.IssuedAt.Unix() + s.expiresIn(),
		"jti":        randomText(),
		"scope":      strings.Join(t.Scopes, " "),
		"client_id":  t.ClientID,
		"consumer":   organisation(t.orgNo),
	}
	if consumer, given := t.Assertion["consumer_org"].(string); given {
		claims["consumer"] = organisation(consumer)
		claims["supplier"] = organisation(t.orgNo)
		claims["delegation_source"] = delegationSource
	}
	if resource, given := t.Assertion["resource"]; given {
		claims["aud"] = resource
	}
	if pid, given := t.Assertion["pid"]; given {
		claims["pid"] = pid
	}
	if details, given := t.Assertion["authorization_details"].([]any); given {
		claims["authorization_details"] = answeredDetails(details, t)
	}
	t.claims = claims
	token := s.sign(claims)
	s.keep(token, t)
	return token
}

// expiresIn is the life of Maskinporten tokens as answers and tokens say it.
func (s *Server) expiresIn() int64 { return int64(s.cfg.tokenLife / time.Second) }

// organisation is how tokens name an organisation (ISO 6523).
func organisation(orgNo string) map[string]any {
	return map[string]any{"authority": "iso6523-actorid-upis", "ID": "0192:" + orgNo}
}

// answeredDetails adds what Maskinporten finds out about a system user: its id,
// always the same for the same request, and its system.
func answeredDetails(details []any, t Token) []any {
	detail, _ := details[0].(map[string]any)
	if detail["type"] != systemUserType {
		return details
	}
	found := maps.Clone(detail)
	id := sha256.Sum256(fmt.Append(nil, t.ClientID, detail))
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80 // version 4, RFC 9562
	found["systemuser_id"] = []string{fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:16])}
	found["system_id"] = t.orgNo + "_maskinportentest"
	return []any{found}
}
