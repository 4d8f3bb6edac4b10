package httpclient

import (
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
func (s *MaskinportenSettings) mixedIdentity(c keyChoice) string {
	id, key := s.origin("ClientId"), s.origin(c.setting)
	if common(layersOf(id), layersOf(key)) != "" {
		return ""
	}
	both := s.name("ClientId") + " and " + s.name(c.setting) + ", which may be of two clients: "
	if layer := common(layersOf(key), id.Overrode); layer != "" {
		return both + layer + " has another ClientId"
	}
	if layer := common(layersOf(id), key.Overrode); layer != "" {
		return both + layer + " has another key"
	}
	for _, setting := range c.passed {
		other := s.origin(setting)
		layer := common(layersOf(id), append(layersOf(other), other.Overrode...))
		if layer != "" && s.holdsAnother(setting, c.keys) {
			return both + layer + " has another key, in " + s.spelling(setting)
		}
	}
	return ""
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
