package httpd

import (
	"crypto/sha256"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// denial is why a request is not let in.
type denial struct {
	status    int
	challenge string // WWW-Authenticate (RFC 6750 section 3), "" for none
	text      string
}

var (
	noToken = &denial{
		http.StatusUnauthorized, `Bearer realm="clusto"`,
		"a token is needed here, as in \"Authorization: Bearer TOKEN\"; clusto's programs read it from api_token_file",
	}
	wrongToken = &denial{
		http.StatusUnauthorized, `Bearer realm="clusto", error="invalid_token"`,
		"this token is not known here; the server's token_file has those that are",
	}
	readToken = &denial{
		http.StatusForbidden, `Bearer realm="clusto", error="insufficient_scope", scope="write"`,
		"this token only reads; a change needs one that writes",
	}
	otherSite = &denial{http.StatusForbidden, "", "a page of another site may not change the inventory"}
	otherName = &denial{http.StatusForbidden, "", "a browser has to ask for this server by IP address or as localhost, as the server has no tokens"}
)

// openPath says what needs no token: health, for whoever balances load, what
// the server is, and how to ask it. It is nothing that the inventory holds.
func openPath(path string) bool {
	return path == "/readyz" || path == "/v2/version" || path == "/v2/openapi.json"
}

// authorize lets in who has a token that is good for the request. Without
// Config.Tokens everybody may do everything, but for the pages of other sites
// that an operator's browser shows: they must not write.
func (s *server) authorize(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, why := s.access(r)
		if rec, ok := w.(*recorder); ok {
			rec.by, rec.write = who, why == nil && who != "" && isWrite(r)
		}
		if why == nil {
			next.ServeHTTP(w, r)
			return
		}
		if n, due := s.denials.add(); due {
			s.Log.Warn("a request was refused for want of a token that is good for it; the next such line comes after a minute or more",
				"from", r.RemoteAddr, "method", r.Method, "path", r.URL.Path, "refused", n)
		}
		if why.challenge != "" {
			w.Header().Set("WWW-Authenticate", why.challenge)
		}
		s.refuse(w, r, why.status, why.text)
	})
}

// access finds out who sends a request, "" if that is not asked, and why the
// request is not let in, if so.
func (s *server) access(r *http.Request) (who string, why *denial) {
	write := isWrite(r)
	if s.Tokens == nil {
		switch {
		case fromBrowser(r.Header) && !ownName(r.Host):
			return "", otherName
		case write && fromOtherSite(r):
			return "", otherSite
		}
		return "", nil
	}
	if openPath(r.URL.Path) && !write {
		return "", nil
	}
	token, ok := bearer(r.Header)
	if !ok {
		return "", noToken
	}
	g, ok := s.Tokens().find(sha256.Sum256([]byte(token)))
	switch {
	case !ok:
		return "", wrongToken
	case write && !g.write:
		return g.name, readToken
	}
	return g.name, nil
}

// bearer takes the token out of the Authorization header.
func bearer(h http.Header) (token string, ok bool) {
	scheme, token, _ := strings.Cut(h.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	return token, strings.EqualFold(scheme, "Bearer") && token != ""
}

// fromBrowser reports whether a request has what a browser alone adds: Origin,
// Fetch Metadata, or the languages of its user. It adds the second only where it
// takes the name for safe, as with TLS, and the first not to a page's reads of its
// own site: those have the last, which no script can take away (Fetch Standard).
func fromBrowser(h http.Header) bool {
	for name := range h {
		if name == "Origin" || name == "Accept-Language" || strings.HasPrefix(name, "Sec-Fetch-") {
			return true
		}
	}
	return false
}

// ownName reports whether no other site can have the name that a request asks
// for: an IP address, or one of loopback (RFC 6761 section 6.3). Any other may be
// that of a page, whose owner has it point to this server (DNS rebinding).
func ownName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if ip, inside := strings.CutPrefix(host, "["); inside {
		host = strings.TrimSuffix(ip, "]")
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || host == "ip6-localhost" || host == "ip6-loopback"
}

var sameOrigin = http.NewCrossOriginProtection()

// fromOtherSite reports whether a browser sends a request for a page of another
// site. It is asked of writes, so the method does not make it safe.
func fromOtherSite(r *http.Request) bool {
	as := *r
	as.Method = http.MethodPost
	return sameOrigin.Check(&as) != nil
}
