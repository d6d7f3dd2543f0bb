package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/clusto/clusto-engine/clusto"
)

// BootServer is a server that has an attribute bootstrap/mac, and what its
// port-nic-eth 1 has.
type BootServer struct {
	Path      string     // "/server/s0001"
	MAC, IPMI clusto.MAC // mac and ipmi-mac of port-nic-eth 1; zero: none is stored
	Elsewhere bool       // another of its ports has the MAC that it was asked for
}

const keyBootstrap = "bootstrap"

// BootServer reads the one server whose bootstrap/mac is mac. It returns an
// error that wraps clusto.ErrNotFound if there is none, one that wraps
// clusto.ErrConflict if there are several or if what is stored on the port is
// not to be understood, and one that wraps clusto.ErrUnavailable if the answer
// could not be had or made no sense.
func (c *Client) BootServer(ctx context.Context, mac clusto.MAC) (b BootServer, err error) {
	attrs, err := json.Marshal([]match{{keyBootstrap, subMAC, nil, mac.String()}}) // in any spelling
	if err != nil {
		return b, fmt.Errorf("encode a query: %w", err)
	}
	var paths []string
	query := "/query/get_entities?attrs=" + url.QueryEscape(string(attrs))
	if err := c.call(ctx, c.cfg.Timeout, http.MethodPost, query, nil, &paths); err != nil {
		return b, err
	}
	if paths == nil {
		return b, c.broken(query, errors.New("it is no list"))
	}
	path, err := oneServer(mac, paths)
	if err != nil {
		return b, err
	}
	return c.ports(ctx, path, mac)
}

// ports reads what is on the ports of a server.
func (c *Client) ports(ctx context.Context, path string, mac clusto.MAC) (b BootServer, err error) {
	e, ok := splitPath(path)
	if !ok {
		return b, c.broken("/query/get_entities", fmt.Errorf("%q is no /type/name", path))
	}
	var answer struct {
		Attrs []wireAttr `json:"attrs"`
	}
	call := "/" + url.PathEscape(e.Type) + "/" + url.PathEscape(e.Name) + "/attrs?key=" + keyNIC
	if err := c.get(ctx, call, &answer); err != nil {
		return b, err
	}
	if answer.Attrs == nil {
		return b, c.broken(call, errors.New("it has no attrs"))
	}
	r := &Record{Entity: e, path: path}
	r.fill(answer.Attrs)
	return r.bootServer(mac)
}

// SetPortMAC makes mac the mac of the server's port-nic-eth 1, or its ipmi-mac
// for a BMC, unless that is so already. It returns an error that wraps
// clusto.ErrConflict if the port is not as was read any more, or if another
// entity has the MAC.
func (c *Client) SetPortMAC(ctx context.Context, was BootServer, bmc bool, mac clusto.MAC) error {
	now, err := c.ports(ctx, was.Path, mac)
	if err != nil {
		return err
	}
	if err := now.same(&was); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.LongTimeout) // a batch may hold the database
	defer cancel()
	e, _ := splitPath(was.Path)
	sub, one := portSubkey(bmc), 1
	return c.Apply(ctx, []clusto.Op{{
		Op: "attr", Name: e.Name, Key: keyNIC, Subkey: &sub, Number: &one,
		Value: &clusto.Value{Type: clusto.String, Str: mac.String()},
	}})
}

func portSubkey(bmc bool) string {
	if bmc {
		return subIPMI
	}
	return subMAC
}

// oneServer picks the one server.
func oneServer(mac clusto.MAC, paths []string) (string, error) {
	servers := slices.DeleteFunc(paths, isOther)
	switch len(servers) {
	case 0:
		return "", fmt.Errorf("find the server with bootstrap/mac %s: %w", mac, clusto.ErrNotFound)
	case 1:
		return servers[0], nil
	}
	slices.Sort(servers)
	return "", fmt.Errorf("several servers have bootstrap/mac %s, leave it on one: %s: %w", mac, strings.Join(servers, ", "), clusto.ErrConflict)
}

// same reports what has changed on the port.
func (b *BootServer) same(was *BootServer) error {
	if *b != *was {
		return fmt.Errorf("the MACs of %s have changed at this moment: %w", b.Path, clusto.ErrConflict)
	}
	return nil
}

// bootServer gives what is on the ports. A blank text is none.
func (r *Record) bootServer(mac clusto.MAC) (BootServer, error) {
	b := BootServer{Path: r.path}
	for i := range r.ports {
		p := &r.ports[i]
		text := strings.TrimSpace(p.Value.Text())
		if p.Sub() == subOSPort || text == "" {
			continue
		}
		m, err := clusto.ParseMAC(text)
		if number(p) != 1 {
			b.Elsewhere = b.Elsewhere || err == nil && m == mac
			continue
		}
		into := &b.MAC
		if p.Sub() == subIPMI {
			into = &b.IPMI
		}
		if err != nil {
			return b, fmt.Errorf("%s 1 %s of %s is %.40q, which is no MAC; correct it: %w", keyNIC, p.Sub(), r.path, text, clusto.ErrConflict)
		}
		if *into != (clusto.MAC{}) && *into != m {
			return b, fmt.Errorf("%s 1 of %s has several %s, leave one: %s, %s: %w", keyNIC, r.path, p.Sub(), *into, m, clusto.ErrConflict)
		}
		*into = m
	}
	return b, nil
}

// BootServer reads the one server whose bootstrap/mac is mac, as
// Client.BootServer does; calls of Host go before.
func (l *Legacy) BootServer(ctx context.Context, mac clusto.MAC) (b BootServer, err error) {
	err = l.patiently(ctx, func() error {
		b, err = l.bootServer(ctx, mac)
		return err
	})
	return b, err
}

func (l *Legacy) bootServer(ctx context.Context, mac clusto.MAC) (b BootServer, err error) {
	var forms []match
	for _, form := range mac.Spellings() {
		forms = append(forms, match{keyBootstrap, subMAC, nil, form})
	}
	paths, err := l.matching(ctx, l.c.cfg.Timeout, forms)
	if err != nil {
		return b, err
	}
	path, err := oneServer(mac, paths)
	if err != nil {
		return b, err
	}
	r, err := l.record(ctx, l.c.cfg.Timeout, path)
	if err != nil {
		return b, err
	}
	return r.bootServer(mac)
}

// SetPortMAC does what Client.SetPortMAC does. The original takes any MAC
// twice, so whether another entity has it is asked just before; and it says
// nothing of what it did, so that is read afterwards.
func (l *Legacy) SetPortMAC(ctx context.Context, was BootServer, bmc bool, mac clusto.MAC) error {
	return l.patiently(ctx, func() error { return l.setPortMAC(ctx, was, bmc, mac) })
}

func (l *Legacy) setPortMAC(ctx context.Context, was BootServer, bmc bool, mac clusto.MAC) error {
	e, ok := splitPath(was.Path)
	if !ok || !plainName.MatchString(e.Name) {
		return fmt.Errorf("the original clusto-httpd cannot set a port of %s, for it cuts names; set it by hand: %w", was.Path, clusto.ErrConflict)
	}
	owners, err := l.ownersOf(ctx, mac)
	owners = slices.DeleteFunc(owners, func(p string) bool { return p == was.Path })
	switch {
	case err != nil && !errors.Is(err, clusto.ErrNotFound):
		return err
	case len(owners) > 0:
		return fmt.Errorf("MAC %s is already on a port of %s: %w", mac, strings.Join(owners, ", "), clusto.ErrConflict)
	}
	r, err := l.record(ctx, l.c.cfg.Timeout, was.Path)
	if err != nil {
		return err
	}
	now, err := r.bootServer(mac)
	if err != nil {
		return err
	}
	if err := now.same(&was); err != nil {
		return err
	}
	if err := l.setPort(ctx, was.Path, portSubkey(bmc), mac); err != nil {
		return err
	}
	return l.check(ctx, was.Path, bmc, mac)
}

// setPort writes. The original takes this by GET alone, for it lets no action
// be POSTed; its answer is empty, and text.
func (l *Legacy) setPort(ctx context.Context, path, sub string, mac clusto.MAC) error {
	if err := l.requests.enter(ctx, false); err != nil {
		return fmt.Errorf("set %s of %s: %d requests are on their way already: %w: %w", sub, path, l.requests.size, err, clusto.ErrUnavailable)
	}
	defer l.requests.leave()
	ctx, cancel := context.WithTimeout(ctx, l.c.cfg.Timeout)
	defer cancel()
	call := path + "/set_port_attr?" + url.Values{
		"porttype": {strings.TrimPrefix(keyNIC, "port-")}, "portnum": {"1"}, "key": {sub}, "value": {mac.String()},
	}.Encode()
	resp, err := l.c.do(ctx, http.MethodGet, call, nil)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return l.refusal(call, resp)
	}
	_, _ = io.CopyN(io.Discard, resp.Body, 4<<10) // what there is of it
	return nil
}

// check reads whether a MAC was stored.
func (l *Legacy) check(ctx context.Context, path string, bmc bool, mac clusto.MAC) error {
	r, err := l.record(ctx, l.c.cfg.Timeout, path)
	if err != nil {
		return err
	}
	b, err := r.bootServer(mac)
	if err == nil && (bmc && b.IPMI != mac || !bmc && b.MAC != mac) {
		err = fmt.Errorf("%s%s was told to store %s %s, and has not: %w", l.c.cfg.URL, path, portSubkey(bmc), mac, clusto.ErrUnavailable)
	}
	return err
}

// BootServer reads the one server whose bootstrap/mac is mac, as
// Client.BootServer does.
func (a *Auto) BootServer(ctx context.Context, mac clusto.MAC) (b BootServer, err error) {
	err = a.either(ctx,
		func() (err error) { b, err = a.Client.BootServer(ctx, mac); return err },
		func() (err error) { b, err = a.legacy.BootServer(ctx, mac); return err })
	return b, err
}

// SetPortMAC does what Client.SetPortMAC does.
func (a *Auto) SetPortMAC(ctx context.Context, was BootServer, bmc bool, mac clusto.MAC) error {
	return a.either(ctx,
		func() error { return a.Client.SetPortMAC(ctx, was, bmc, mac) },
		func() error { return a.legacy.SetPortMAC(ctx, was, bmc, mac) })
}
