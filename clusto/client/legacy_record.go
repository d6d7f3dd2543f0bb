package client

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/clusto/clusto-engine/clusto"
)

// Record is what the original says of one entity, as far as hosts need it; of
// all IP managers, under a key of its own, it has the networks. It never
// changes, so that hosts can share it.
type Record struct {
	clusto.Entity
	path     string
	parents  []string // containers, "/type/name"
	dhcp     []clusto.Attr
	ips      []clusto.Attr
	ports    []clusto.Attr // mac, ipmi-mac and osportname of port-nic-eth
	hostname string
	network  *clusto.Network // what it is the manager of
	networks []clusto.Network
}

// plainName is a name that a path can carry: the original cuts a name at its
// first dot.
var plainName = regexp.MustCompile(`^[0-9A-Za-z_-]+$`)

// record reads one entity.
func (l *Legacy) record(ctx context.Context, timeout time.Duration, path string) (*Record, error) {
	e, ok := splitPath(path)
	if !ok {
		return nil, fmt.Errorf("ask %s for %q: it is no /type/name: %w", l.c.cfg.URL, path, clusto.ErrUnavailable)
	}
	call := path
	if !plainName.MatchString(e.Name) || !plainName.MatchString(e.Type) {
		call = "/query/get_by_name?name=" + url.QueryEscape(e.Name)
	}
	var shown struct {
		Object  string     `json:"object"`
		Driver  string     `json:"driver"`
		Attrs   []wireAttr `json:"attrs"`
		Parents []string   `json:"parents"`
	}
	if err := l.get(ctx, timeout, call, &shown); err != nil {
		return nil, err
	}
	switch {
	case shown.Object != path:
		return nil, l.c.broken(call, fmt.Errorf("it is about %q, not %s", shown.Object, path))
	case shown.Attrs == nil || shown.Parents == nil || shown.Driver == "":
		return nil, l.c.broken(call, errors.New("it lacks attrs, parents or the driver"))
	}
	e.Driver = shown.Driver
	r := &Record{Entity: e, path: path, parents: shown.Parents}
	r.fill(shown.Attrs)
	return r, nil
}

// splitPath reads "/type/name".
func splitPath(path string) (e clusto.Entity, ok bool) {
	rest, ok := strings.CutPrefix(path, "/")
	if !ok {
		return e, false
	}
	e.Type, e.Name, ok = strings.Cut(rest, "/")
	return e, ok && e.Type != "" && e.Name != ""
}

// refusal is an answer other than 200. The original's say nothing that could be
// relied on: it answers 404 and 500 alike for what it does not have. The last
// line of a traceback tells the most.
func (l *Legacy) refusal(path string, resp *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10)) // what there is of it
	text = bytes.TrimSpace(text)
	return fmt.Errorf("ask %s%s: the original clusto-httpd answers %s: %s: %w",
		l.c.cfg.URL, path, line(resp.Status), excerpt(text[bytes.LastIndexByte(text, '\n')+1:]), clusto.ErrUnavailable)
}

// wireAttr is an attribute as the original writes it.
type wireAttr struct {
	Key      string          `json:"key"`
	Subkey   *string         `json:"subkey"`
	Number   json.RawMessage `json:"number"` // an integer, null, or any text that was once given
	Datatype clusto.Datatype `json:"datatype"`
	Value    json.RawMessage `json:"value"`
}

// attr reads an attribute. What is no integer where one belongs is none.
func (w *wireAttr) attr() clusto.Attr {
	a := clusto.Attr{Key: w.Key, Subkey: w.Subkey, Value: clusto.Value{Type: w.Datatype}}
	if n, ok := w.integer(w.Number); ok {
		number := int(n)
		a.Number = &number
	}
	if w.Datatype == clusto.Int {
		a.Value.Int, _ = w.integer(w.Value)
		return a
	}
	if json.Unmarshal(w.Value, &a.Value.Str) != nil {
		a.Value.Str = string(w.Value) // not the datatype's, but what there is
	}
	return a
}

func (w *wireAttr) integer(raw json.RawMessage) (int64, bool) {
	n, err := strconv.ParseInt(strings.Trim(string(raw), `"`), 10, 64)
	return n, err == nil
}

// fill files the attributes that hosts need; they come in the order in which
// they were written, but for their keys.
func (r *Record) fill(attrs []wireAttr) {
	host, props := last{}, managerProps{}
	for i := range attrs {
		a := attrs[i].attr()
		sub := a.Sub()
		switch a.Key {
		case "dhcp":
			a.Origin = r.path
			r.dhcp = append(r.dhcp, a)
		case "ip":
			r.ips = append(r.ips, a)
		case keyNIC:
			if sub == subMAC || sub == subIPMI || sub == subOSPort {
				r.ports = append(r.ports, a)
			}
		case "hostname":
			if t := a.Value.Text(); a.Subkey == nil && t != "" {
				host.take(t, number(&a))
			}
		default:
			if p := props.of(a.Key); p != nil && sub == "property" {
				p.take(strings.TrimSpace(a.Value.Text()), number(&a))
			}
		}
	}
	r.hostname = cmp.Or(host.text, r.Name)
	r.network = props.network(r.Name)
}

// last is a text that may be given several times: the one with the highest
// number holds, and of those the one that was written last.
type last struct {
	text   string
	number int
	given  bool
}

func (l *last) take(text string, number int) {
	if !l.given || number >= l.number {
		*l = last{text, number, true}
	}
}

// number is an attribute's number, -1 for NULL.
func number(a *clusto.Attr) int {
	if a.Number == nil {
		return -1
	}
	return *a.Number
}

// managerProps are the properties of an IP manager.
type managerProps struct{ base, mask, gateway last }

func (p *managerProps) of(key string) *last {
	switch key {
	case "baseip":
		return &p.base
	case "netmask":
		return &p.mask
	case "gateway":
		return &p.gateway
	}
	return nil
}

// network gives the range; nil without a usable base address.
func (p *managerProps) network(name string) *clusto.Network {
	return clusto.ParseNetwork(name, p.base.text, p.mask.text, p.gateway.text)
}
