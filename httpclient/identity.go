package httpclient

import (
	"crypto"
	"slices"
	"strings"
)

// mixedIdentity tells that the client's id and the key in use may be of two clients. It
// is empty if there is no sign of that.
//
// Settings are merged one by one, so that one layer's key may meet another's ClientId.
// That is normal if there is no second candidate for either, such as with the id in a
// file and the key in the vault. It is not if the key's layer has another id, or the id's
// layer has another key.
func (s *MaskinportenSettings) mixedIdentity(used *Key) string {
	setting := s.keysGiven()[0]
	id, key := s.origin("ClientId"), s.origin(setting)
	if common(layersOf(id), layersOf(key)) != "" {
		return ""
	}
	both := s.name("ClientId") + " and " + s.name(setting) + ", which may be of two clients: "
	if layer := common(layersOf(key), id.Overrode); layer != "" {
		return both + layer + " has another ClientId"
	}
	if layer := common(layersOf(id), key.Overrode); layer != "" {
		return both + layer + " has another key"
	}
	if setting == "EncodedJwk" && s.holdsAnotherJWK(used) {
		jwk := s.origin("Jwk")
		if layer := common(layersOf(id), append(layersOf(jwk), jwk.Overrode...)); layer != "" {
			return both + layer + " has another key, in Jwk"
		}
	}
	return ""
}

// holdsAnotherJWK reports whether the setting Jwk, which is not used beside EncodedJwk,
// is a key, and another one.
func (s *MaskinportenSettings) holdsAnotherJWK(used *Key) bool {
	if s.JWK.IsZero() {
		return false
	}
	other, err := parseJWK(s.JWK.Reveal(), used.kid)
	return err == nil && !isSameKey(other, used)
}

// isSameKey compares two keys of the settings.
func isSameKey(a, b *Key) bool {
	first, ok := a.signer().Public().(interface{ Equal(x crypto.PublicKey) bool })
	return ok && first.Equal(b.signer().Public())
}

// layersOf are the layers that a setting came from. An object may have several.
func layersOf(o Origin) []string {
	if o.Layer == "" {
		return nil
	}
	return strings.Split(o.Layer, ", ")
}

// common is the first layer of both lists, empty without one.
func common(some, others []string) string {
	for _, layer := range some {
		if slices.Contains(others, layer) {
			return layer
		}
	}
	return ""
}
