package httpd

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/clusto/clusto-engine/clusto"
)

// routeEntities registers the calls on entities, /TYPE/NAME/ACTION. Their paths
// begin with a variable, so one handler takes all that no other call matched.
func (s *server) routeEntities(mux *router) {
	mux.HandleRest(func(w http.ResponseWriter, r *http.Request) {
		call, err := s.entityCall(r)
		if err != nil {
			s.legacyFail(w, r, err)
			return
		}
		s.call(call)(w, r)
	})
}

// entityCall finds the call that a path and a method mean.
func (s *server) entityCall(r *http.Request) (legacy, error) {
	parts, err := pathParts(r.URL)
	if err != nil {
		return nil, err
	}
	switch len(parts) {
	case 0: // any method lists the types, as it lists those of one
		return s.getTypes, nil
	case 1:
		return s.listCall(parts[0])
	case 2:
		return s.entityMethod(r, parts[0], parts[1])
	case 3:
		return s.actionCall(r, parts[0], parts[1], parts[2])
	}
	return nil, fmt.Errorf("there is no %.80q, for no path is longer than /TYPE/NAME/ACTION: %w", r.URL.Path, clusto.ErrNotFound)
}

// pathParts gives the decoded parts of a path. One slash at its end does not
// count. A path that begins with two is the root, as in the original.
func pathParts(u *url.URL) ([]string, error) {
	path := strings.TrimSuffix(strings.TrimPrefix(u.EscapedPath(), "/"), "/")
	if path == "" || strings.HasPrefix(path, "/") {
		return nil, nil
	}
	parts := strings.Split(path, "/")
	for i, part := range parts {
		plain, err := url.PathUnescape(part)
		if err != nil || !storable(plain) {
			return nil, invalid("the path is no UTF-8 text, or has a NUL character")
		}
		parts[i] = plain
	}
	return parts, nil
}

func (s *server) listCall(part string) (legacy, error) {
	switch part {
	case "search":
		return s.getSearch, nil
	case "favicon.ico":
		return nil, fmt.Errorf("there is no icon here: %w", clusto.ErrNotFound)
	}
	return func(r *http.Request, _ form) (any, error) { return s.listType(r, part) }, nil
}

// errMethod is the answer to a method that the original does not have.
var errMethod = &refusal{http.StatusNotImplemented, "there is GET to read, POST to create or to act, DELETE to delete"}

func (s *server) entityMethod(r *http.Request, kind, name string) (legacy, error) {
	switch r.Method {
	case http.MethodGet:
		return s.actionCall(r, kind, name, "")
	case http.MethodPost:
		return func(r *http.Request, p form) (any, error) { return s.create(r, kind, name) }, nil
	case http.MethodDelete:
		return func(r *http.Request, _ form) (any, error) { return s.delete(r, kind, name) }, nil
	}
	return nil, errMethod
}

// actionCall finds the action of a path; "" is show.
func (s *server) actionCall(r *http.Request, kind, name, word string) (legacy, error) {
	act, known := actions[word]
	switch {
	case r.Method == http.MethodDelete:
		return nil, invalid("You may only delete objects, not types or actions")
	case r.Method != http.MethodGet && r.Method != http.MethodPost:
		return nil, errMethod
	case r.Method == http.MethodPost && !known:
		return nil, invalid("You may only create objects, not types or actions; there is no action %.40q", word)
	case act.writes && r.Method == http.MethodGet && s.ReadOnlyGet:
		return nil, &refusal{http.StatusMethodNotAllowed, word + " changes the inventory, and changes by GET are off here (read_only_get): send it by POST"}
	}
	return func(r *http.Request, p form) (any, error) {
		e, err := s.Store.Entity(r.Context(), name)
		if err != nil {
			return nil, err
		}
		if e.Type != kind {
			return nil, &moved{wholeURL(r, e, word)}
		}
		if !known || act.types != nil && !slices.Contains(act.types, e.Type) {
			return nil, fmt.Errorf("Invalid action: there is no %.40q of %s: %w", word, e.Path(), clusto.ErrNotFound) //nolint:staticcheck // the original's words
		}
		v, err := act.do(s, r, p, e)
		if errors.Is(err, clusto.ErrConflict) && !act.ours {
			return nil, &refusal{http.StatusBadRequest, clusto.Reason(err)} // the original has 409 for creation alone
		}
		return v, err
	}, nil
}

// wholeURL gives the URL of an entity or of an action on it, with the request's
// query.
func wholeURL(r *http.Request, e clusto.Entity, word string) string {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	host := r.Host
	if here, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && host == "" {
		host = here.String() // HTTP/1.0 needs no Host
	}
	u := url.URL{Scheme: scheme, Host: host, RawQuery: r.URL.RawQuery}
	u.Path = e.Path() + "/" + word
	u.RawPath = "/" + url.PathEscape(e.Type) + "/" + url.PathEscape(e.Name) + "/" + url.PathEscape(word)
	return u.String()
}

// action is what can be done with an entity.
type action struct {
	do     func(s *server, r *http.Request, p form, e clusto.Entity) (any, error)
	types  []string // of the entities that have it; nil is all
	writes bool
	ours   bool // the original did not have it over HTTP
}

// portTypes are the types whose ports the original shows; managers give things
// out.
var (
	portTypes = []string{"consoleserver", "networkswitch", "powerstrip", "server"}
	managers  = []string{"resourcemanager"}
)

// actions are those of all types, by the word in the path. What only reads is
// named in readActions too.
var actions = map[string]action{
	"":                      {do: (*server).show},
	"show":                  {do: (*server).show},
	"attrs":                 {do: (*server).getAttrs},
	"addattr":               {do: (*server).addAttr, writes: true},
	"setattr":               {do: (*server).setAttr, writes: true},
	"delattr":               {do: (*server).delAttr, writes: true},
	"insert":                {do: (*server).insert, writes: true},
	"remove":                {do: (*server).remove, writes: true},
	"ports":                 {do: (*server).getPorts, types: portTypes},
	"get_port_attr":         {do: (*server).getPortAttr, types: portTypes},
	"set_port_attr":         {do: (*server).setPortAttr, types: portTypes, writes: true},
	"allocate":              {do: (*server).allocate, types: managers, writes: true, ours: true},
	"connect_ports":         {do: (*server).connectPorts, writes: true, ours: true},
	"disconnect_port":       {do: (*server).disconnectPort, writes: true, ours: true},
	"port_free":             {do: (*server).portFree, ours: true},
	"bind_ip_to_osport":     {do: (*server).bindIP, writes: true, ours: true},
	"unbind_ip_from_osport": {do: (*server).unbindIP, writes: true, ours: true},
	"units":                 {do: (*server).getUnits, ours: true},
	"hostname":              {do: (*server).getHostname, ours: true},
	"set_hostname":          {do: (*server).setHostname, writes: true, ours: true},
}

// shownActions lists what the original shows as an entity's actions: for one
// that was asked for by its path also those of its type.
func shownActions(kind string, byPath bool) []string {
	if byPath && slices.Contains(portTypes, kind) {
		return []string{"addattr", "attrs", "delattr", "get_port_attr", "insert", "ports", "remove", "set_port_attr", "setattr", "show"}
	}
	return []string{"addattr", "attrs", "delattr", "insert", "remove", "setattr", "show"}
}
