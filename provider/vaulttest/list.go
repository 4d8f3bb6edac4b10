package vaulttest

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// pageSize is Key Vault's largest page, and its default.
const pageSize = 25

// item is an entry of a listing. Listings are sorted by key.
type item struct {
	key     string
	id      string
	version interface {
		properties(id string) map[string]any
	}
}

// list answers a page of the secrets or keys, or of the versions of one. A secret or
// key that does not exist has no versions: that is not an error, as in Azure.
func (s *Server) list(w http.ResponseWriter, r *http.Request, c call) {
	query := r.URL.Query()
	limit := pageSize
	asked := query.Get("maxresults")
	if asked != "" {
		n, err := strconv.Atoi(asked)
		if err != nil || n < 1 || n > pageSize {
			s.refuseVault(w, http.StatusBadRequest, "BadParameter", "maxresults must be between 1 and 25", "")
			return
		}
		limit = n
	}
	at := position{keys: c.keys, name: c.name, empty: s.cfg.paging.EmptyPages}
	if text := query.Get("$skiptoken"); text != "" {
		if !at.parse(text) {
			s.refuseVault(w, http.StatusBadRequest, "BadParameter", "$skiptoken is not one of this vault's", "")
			return
		}
	}
	var page []item
	more := true
	if at.empty > 0 {
		at.empty--
	} else {
		page, more = s.page(at, limit)
		if more {
			at.after = page[len(page)-1].key
			at.empty = s.cfg.paging.EmptyPages
		}
	}
	values := make([]map[string]any, 0, len(page))
	for _, it := range page {
		values = append(values, it.version.properties(it.id))
	}
	answer := map[string]any{"value": values, "nextLink": nil}
	if more {
		answer["nextLink"] = s.nextLink(r, at, asked)
	}
	writeJSON(w, http.StatusOK, answer)
}

// page returns up to limit items after a position, and whether there are more.
func (s *Server) page(at position, limit int) (page []item, more bool) {
	for _, it := range s.items(at) {
		if it.key > at.after {
			page = append(page, it)
		}
	}
	slices.SortFunc(page, func(a, b item) int { return strings.Compare(a.key, b.key) })
	if len(page) > limit {
		return page[:limit], true
	}
	return page, false
}

// items are all that a listing goes through.
func (s *Server) items(at position) []item {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at.keys {
		return s.keyItems(at.name)
	}
	return s.secretItems(at.name)
}

// secretItems are the latest versions of all secrets, or all versions of the named one.
func (s *Server) secretItems(name string) (items []item) {
	if name == "" {
		for key, found := range s.secrets {
			items = append(items, item{key: key, id: s.secretID(found.name), version: found.latest()})
		}
	} else if found := s.secrets[strings.ToLower(name)]; found != nil {
		for _, v := range found.versions {
			items = append(items, item{key: v.id, id: s.secretID(found.name) + "/" + v.id, version: v})
		}
	}
	return items
}

// keyItems are the latest versions of all keys, or all versions of the named one.
func (s *Server) keyItems(name string) (items []item) {
	if name == "" {
		for key, found := range s.keys {
			items = append(items, item{key: key, id: s.keyID(found.name), version: *found.find("")})
		}
	} else if found := s.keys[strings.ToLower(name)]; found != nil {
		for _, v := range found.versions {
			items = append(items, item{key: v.id, id: s.keyID(found.name) + "/" + v.id, version: v})
		}
	}
	return items
}

// nextLink is written as Key Vault writes it: with a bare $, and with maxresults
// only if the client asked for it.
func (s *Server) nextLink(r *http.Request, at position, maxResults string) string {
	base := s.VaultURL()
	if s.cfg.paging.Port && s.cfg.vaultHost != "" {
		base += ":443"
	}
	version := s.cfg.paging.APIVersion
	if version == "" {
		version = r.URL.Query().Get("api-version")
	}
	link := fmt.Sprintf("%s%s?api-version=%s&$skiptoken=%s", base, r.URL.EscapedPath(), version, at)
	if maxResults != "" {
		link += "&maxresults=" + maxResults
	}
	return link
}

// position is where a listing goes on. Clients see it as an opaque $skiptoken.
type position struct {
	keys  bool   // keys are listed, not secrets
	name  string // whose versions are listed, "" if the secrets or keys are
	after string // the last key that was sent
	empty int    // how many empty pages come first
}

const skipPrefix = "vaulttest"

func (p position) String() string {
	text := strings.Join([]string{skipPrefix, p.of(), strconv.Itoa(p.empty), p.after}, ":")
	return base64.RawURLEncoding.EncodeToString([]byte(text))
}

// of is what is listed.
func (p position) of() string {
	if p.keys {
		return "keys/" + strings.ToLower(p.name)
	}
	return "secrets/" + strings.ToLower(p.name)
}

// parse reports whether a token was made by this vault for the same listing.
func (p *position) parse(token string) bool {
	raw, err := base64.RawURLEncoding.DecodeString(token)
	parts := strings.Split(string(raw), ":")
	if err != nil || len(parts) != 4 || parts[0] != skipPrefix || parts[1] != p.of() {
		return false
	}
	p.empty, err = strconv.Atoi(parts[2])
	p.after = parts[3]
	return err == nil
}
