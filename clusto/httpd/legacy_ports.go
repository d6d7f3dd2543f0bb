package httpd

import (
	"fmt"
	"math"
	"net/http"
	"strconv"

	"github.com/clusto/clusto-engine/clusto"
)

// legacyPort is a port as the original shows it. OtherNum is an integer, or the
// name of an outlet.
type legacyPort struct {
	Type     string  `json:"type"`
	Num      int     `json:"num"`
	Other    *string `json:"other"`
	OtherNum any     `json:"othernum"`
}

// portsAnswer is the answer of .../ports.
type portsAnswer struct {
	Object string       `json:"object"`
	Ports  []legacyPort `json:"ports"`
}

// getPorts answers with the ports that the entity's driver lists.
func (s *server) getPorts(r *http.Request, _ form, e clusto.Entity) (any, error) {
	o, err := s.Store.Object(r.Context(), e.Name)
	if err != nil {
		return nil, err
	}
	out := portsAnswer{o.Path(), []legacyPort{}}
	for _, port := range o.Ports {
		listed, _ := s.Store.PortRange(o.Driver, port.Type)
		if port.Num < 1 || port.Num > listed {
			continue
		}
		shown := legacyPort{Type: port.Type, Num: port.Num, OtherNum: portAttr(&o, port.Type, port.Num, "otherportnum")}
		if port.To != "" {
			shown.Other = &port.To
		}
		out.Ports = append(out.Ports, shown)
	}
	return out, nil
}

// portAttr gives the value of a port's attribute, nil if there is none.
func portAttr(o *clusto.Object, kind string, num int, key string) any {
	for _, a := range o.Attrs {
		if a.Key == "port-"+kind && a.Number != nil && *a.Number == num && a.Sub() == key {
			return plain(a.Value)
		}
	}
	return nil
}

// getPortAttr answers with the value of a port's attribute: a connection is the
// path of the other entity, and null is none.
func (s *server) getPortAttr(r *http.Request, p form, e clusto.Entity) (any, error) {
	if err := p.need("porttype", "portnum", "key"); err != nil {
		return nil, err
	}
	o, num, err := s.port(r, p, e)
	if err != nil {
		return nil, err
	}
	return portAttr(&o, p["porttype"], num, p["key"]), nil
}

// setPortAttr sets an attribute of a port to a text, and answers with nothing.
func (s *server) setPortAttr(r *http.Request, p form, e clusto.Entity) (any, error) {
	if err := p.need("porttype", "portnum", "key", "value"); err != nil {
		return nil, err
	}
	_, num, err := s.port(r, p, e)
	if err != nil {
		return nil, err
	}
	key := p["key"]
	if key == "connection" || key == "otherportnum" {
		return nil, invalid("set %s of a port of %s: use connect_ports, which writes both ends", key, e.Path())
	}
	if key == "" {
		return nil, invalid("parameter key is empty")
	}
	op := clusto.Op{
		Op: "set", Name: e.Name, Key: "port-" + p["porttype"], Subkey: &key, Number: &num,
		Value: &clusto.Value{Type: clusto.String, Str: p["value"]},
	}
	if _, err := s.change(r, op); err != nil {
		return nil, err
	}
	return text(""), nil
}

// port reads porttype and portnum, and refuses a port that the entity does not
// have.
func (s *server) port(r *http.Request, p form, e clusto.Entity) (o clusto.Object, num int, err error) {
	if num, err = strconv.Atoi(p["portnum"]); err != nil {
		return o, 0, invalid("parameter portnum %.40q is no integer", p["portnum"])
	}
	o, err = s.portOf(r, e, p["porttype"], num)
	return o, num, err
}

func (s *server) portOf(r *http.Request, e clusto.Entity, kind string, num int) (clusto.Object, error) {
	if num < 1 || num > math.MaxInt32 {
		return clusto.Object{}, invalid("port %.40s %d of %s: ports are numbered from 1 on", kind, num, e.Path())
	}
	o, err := s.Store.Object(r.Context(), e.Name)
	if err != nil {
		return o, err
	}
	if _, all := s.Store.PortRange(o.Driver, kind); num <= all {
		return o, nil
	}
	for _, port := range o.Ports {
		if port.Type == kind && port.Num == num {
			return o, nil
		}
	}
	return o, fmt.Errorf("there is no port %.40s %d of %s: driver %s has none, and no attribute names one: %w", kind, num, o.Path(), o.Driver, clusto.ErrNotFound)
}

// connectPorts connects a port to one of another entity, which is written on
// both, and answers with the entity's ports. What is connected already stays.
func (s *server) connectPorts(r *http.Request, p form, e clusto.Entity) (any, error) {
	if err := p.need("porttype", "portnum", "object", "otherportnum"); err != nil {
		return nil, err
	}
	to, err := s.object(r, "object", p["object"])
	if err != nil {
		return nil, err
	}
	_, err = s.change(r, clusto.Op{
		Op: "connect", Name: e.Name, Port: p["porttype"], Num: p["portnum"], To: to.Name, ToNum: p["otherportnum"],
	})
	if err != nil {
		return nil, err
	}
	return s.getPorts(r, p, e)
}

// disconnectPort takes the connection off a port, on both ends, and answers with
// the entity's ports.
func (s *server) disconnectPort(r *http.Request, p form, e clusto.Entity) (any, error) {
	if err := p.need("porttype", "portnum"); err != nil {
		return nil, err
	}
	if _, err := s.change(r, clusto.Op{Op: "disconnect", Name: e.Name, Port: p["porttype"], Num: p["portnum"]}); err != nil {
		return nil, err
	}
	return s.getPorts(r, p, e)
}

// portFree answers whether nothing is connected to a port.
func (s *server) portFree(r *http.Request, p form, e clusto.Entity) (any, error) {
	if err := p.need("porttype", "portnum"); err != nil {
		return nil, err
	}
	kind := p["porttype"]
	num := s.Store.PortNumber(e.Driver, kind, p["portnum"])
	if num == 0 {
		return nil, invalid("parameter portnum %.40q is no number of a port: those of %s are numbered from 1 on, and outlets may have names", p["portnum"], e.Path())
	}
	o, err := s.portOf(r, e, kind, num)
	if err != nil {
		return nil, err
	}
	return portAttr(&o, kind, num, "connection") == nil, nil
}
