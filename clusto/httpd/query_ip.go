package httpd

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"github.com/clusto/clusto-engine/clusto"
)

// getIPManager answers with the path of the one IP manager whose range holds
// the address or range; none and several are 404. A manager without a base
// address holds nothing.
func (s *server) getIPManager(r *http.Request, p form) (any, error) {
	text, ok := p["ip"]
	if !ok {
		return nil, invalid("You must specify an IP")
	}
	return s.ipManager(r, text)
}

func (s *server) ipManager(r *http.Request, text string) (path string, err error) {
	want, err := parseRange(text)
	if err != nil {
		return "", fmt.Errorf("parameter ip %.80q is no IP address or range, as in 10.42.0.7 or 10.42.0.0/24: %w", text, clusto.ErrNotFound)
	}
	all, err := s.Store.Managers(r.Context())
	if err != nil {
		return "", err
	}
	var names []string
	for _, m := range all {
		if m.Prefix.Bits() <= want.Bits() && m.Prefix.Contains(want.Addr()) {
			names = append(names, m.Name)
		}
	}
	switch {
	case len(names) == 0:
		return "", fmt.Errorf("there is no IP manager whose range holds %q: %w", text, clusto.ErrNotFound)
	case len(names) > 1:
		return "", fmt.Errorf("there is no one IP manager of %q, for the ranges of several hold it, %s: %w", text, strings.Join(names, ", "), clusto.ErrNotFound)
	}
	return clusto.Entity{Name: names[0], Type: "resourcemanager"}.Path(), nil
}

func parseRange(text string) (netip.Prefix, error) {
	if strings.Contains(text, "/") {
		return netip.ParsePrefix(text)
	}
	ip, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, err
	}
	return ip.Prefix(ip.BitLen())
}
