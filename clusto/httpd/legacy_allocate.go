package httpd

import (
	"cmp"
	"fmt"
	"net/http"
	"regexp"

	"github.com/clusto/clusto-engine/clusto"
)

// allocate takes the next free thing from a manager, and answers with it: of a
// simpleentitynamemanager the path of a new entity of the driver given; of a
// simplenamemanager a name for the object given; of an ipmanager an address,
// which is bound to the object given, and to its osportname.
func (s *server) allocate(r *http.Request, p form, e clusto.Entity) (any, error) {
	op := clusto.Op{Op: "allocate", Name: e.Name, Driver: p["driver"], OSPort: p["osportname"]}
	if err := p.osport(); err != nil {
		return nil, err
	}
	need := "object"
	if e.Driver == "simpleentitynamemanager" {
		need = "driver"
	}
	if p[need] == "" && e.Driver != "resourcemanager" {
		return nil, invalid("allocate from %s, driver %s: Required argument %q is missing", e.Path(), e.Driver, need)
	}
	if p["object"] != "" {
		to, err := s.object(r, "object", p["object"])
		if err != nil {
			return nil, err
		}
		op.To = to.Name
	}
	results, err := s.change(r, op)
	if err != nil {
		return nil, err
	}
	if len(results) != 1 {
		return nil, fmt.Errorf("allocate from %s: %d results, want one", e.Path(), len(results))
	}
	if need == "driver" {
		made, err := s.Store.Entity(r.Context(), results[0].Name)
		return created{made.Path()}, err
	}
	return created{cmp.Or(results[0].IP, results[0].Name)}, nil
}

// osport refuses an empty osportname: who wants none leaves it out.
func (p form) osport() error {
	if text, ok := p["osportname"]; ok && text == "" {
		return invalid("parameter osportname is empty: name an interface, as in eth0")
	}
	return nil
}

// bindIP binds an address to an entity and to the interface given, under the IP
// manager whose range holds it, and shows the entity. With porttype and portnum
// that port gets the osportname too.
func (s *server) bindIP(r *http.Request, p form, e clusto.Entity) (any, error) {
	err := p.need("ip", "osportname")
	if err == nil {
		err = p.osport()
	}
	if err != nil {
		return nil, err
	}
	osport := p["osportname"]
	ops := []clusto.Op{{Op: "bind", Name: e.Name, IP: p["ip"], OSPort: osport}}
	if _, ok := p["porttype"]; ok {
		if err := p.need("portnum"); err != nil {
			return nil, err
		}
		_, num, err := s.port(r, p, e)
		if err != nil {
			return nil, err
		}
		sub := "osportname"
		ops = append(ops, clusto.Op{
			Op: "set", Name: e.Name, Key: "port-" + p["porttype"], Subkey: &sub, Number: &num,
			Value: &clusto.Value{Type: clusto.String, Str: osport},
		})
	}
	if _, err := s.change(r, ops...); err != nil {
		return nil, err
	}
	return s.show(r, p, e)
}

// unbindIP takes an address off an entity, and shows it.
func (s *server) unbindIP(r *http.Request, p form, e clusto.Entity) (any, error) {
	if err := p.need("ip"); err != nil {
		return nil, err
	}
	if _, err := s.change(r, clusto.Op{Op: "unbind", Name: e.Name, IP: p["ip"]}); err != nil {
		return nil, err
	}
	return s.show(r, p, e)
}

// hostnames is the answer of .../hostname.
type hostnames struct {
	Object   string   `json:"object"`
	Hostname string   `json:"hostname"` // attribute hostname, else the entity's name
	FQDNs    []string `json:"fqdns"`
}

// getHostname answers with an entity's hostname and its fully qualified names.
func (s *server) getHostname(r *http.Request, _ form, e clusto.Entity) (any, error) {
	o, err := s.Store.Object(r.Context(), e.Name)
	if err != nil {
		return nil, err
	}
	out := hostnames{o.Path(), o.Name, []string{}}
	last := clusto.Attr{}
	for _, a := range o.Attrs {
		switch {
		case a.Subkey != nil || a.Value.Text() == "":
		case a.Key == "fqdn":
			out.FQDNs = append(out.FQDNs, a.Value.Text())
		case a.Key == "hostname" && (last.ID == 0 || !before(&a, &last)):
			last, out.Hostname = a, a.Value.Text()
		}
	}
	return out, nil
}

// before orders the values of one key as a host is resolved: by number, none
// first, then as written.
func before(a, b *clusto.Attr) bool {
	switch {
	case a.Number == nil:
		return b.Number != nil
	case b.Number == nil:
		return false
	}
	return *a.Number < *b.Number
}

// hostname is RFC 1123's, section 2.1.
var hostname = regexp.MustCompile(`^([0-9A-Za-z]([0-9A-Za-z-]{0,61}[0-9A-Za-z])?\.)*[0-9A-Za-z]([0-9A-Za-z-]{0,61}[0-9A-Za-z])?$`)

// setHostname sets attribute hostname, and answers as getHostname.
func (s *server) setHostname(r *http.Request, p form, e clusto.Entity) (any, error) {
	if err := p.need("hostname"); err != nil {
		return nil, err
	}
	name := p["hostname"]
	if len(name) > 253 || !hostname.MatchString(name) {
		return nil, invalid("parameter hostname %.40q of %s: want letters, digits and -, in labels of 63 at most with dots between them", name, e.Path())
	}
	op := clusto.Op{Op: "set", Name: e.Name, Key: "hostname", Value: &clusto.Value{Type: clusto.String, Str: name}}
	if _, err := s.change(r, op); err != nil {
		return nil, err
	}
	return s.getHostname(r, p, e)
}
