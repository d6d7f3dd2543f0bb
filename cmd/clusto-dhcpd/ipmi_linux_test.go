package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/engine/storm"
)

const (
	storedMetric = "clusto_dhcpd_stored_macs_total"
	bmcClass     = "udhcp 0.9.9-pre"
	pxeClass     = "PXEClient:Arch:00000:UNDI:002001"
)

// stores tells the two recorded exchanges that have a MAC stored: by the third
// it is there.
func (e *exchange) stores() bool {
	return e.By == "2010" && strings.HasPrefix(e.What, "update_ipmi: DISCOVER s0018 (")
}

// stored waits until n MACs were stored.
func (l *lab) stored(n uint64) {
	l.t.Helper()
	l.until(fmt.Sprintf("%d MACs stored", n), func() bool { return l.metric(storedMetric) == n })
}

// bootSite adds servers of which only bootstrap/mac is known, and what is on
// their ports.
const bootSite = `
servers:
  new:    {in: boot, ip: 10.9.0.101, ipmi: {ip: 10.9.0.201}, attrs: [
    {key: bootstrap, subkey: mac, value: "02:00:00:00:00:21"}, {key: bootstrap, subkey: mac, number: 1, value: "02:00:00:00:00:22"}]}
  card:   {in: boot, mac: "02:00:00:00:00:24", ip: 10.9.0.102, ipmi: {mac: "02:00:00:00:00:25", ip: 10.9.0.202},
    attrs: [{key: bootstrap, subkey: mac, value: "02:00:00:00:00:23"}]}
  alive:  {in: boot, mac: "02:00:00:00:00:26", ip: 10.9.0.103, attrs: [{key: bootstrap, subkey: mac, value: "02:00:00:00:00:27"}]}
  pair1:  {in: boot, ip: 10.9.0.104, attrs: [{key: bootstrap, subkey: mac, value: "02:00:00:00:00:28"}]}
  pair2:  {in: boot, ip: 10.9.0.105, attrs: [{key: bootstrap, subkey: mac, value: "02:00:00:00:00:28"}]}
  shared: {in: boot, ip: 10.9.0.106, attrs: [{key: bootstrap, subkey: mac, value: "02:00:00:00:00:29"}]}
pools:
  nosrv:  {attrs: [{key: bootstrap, subkey: mac, value: "02:00:00:00:00:2a"}]}
`

// newBootLab runs the daemon on the site.
func newBootLab(t *testing.T, flags ...string) *lab {
	t.Helper()
	l := newLab(t)
	l.apply(bootSite)
	l.start(append([]string{"--cache-ttl", "1h", "--negative-ttl", "1h"}, flags...)...) // nothing is looked up again by itself
	return l
}

// port reads the MACs on a server's port 1: "mac=... ipmi-mac=...".
func (l *lab) port(name string) string {
	l.t.Helper()
	attrs, err := l.store.Attrs(l.t.Context(), clusto.AttrQuery{Name: name, Key: "port-nic-eth"})
	must(l.t, err)
	var has []string
	for _, a := range attrs {
		if a.Number != nil && *a.Number == 1 && strings.HasSuffix(a.Sub(), "mac") {
			has = append(has, a.Sub()+"="+a.Value.Str)
		}
	}
	return strings.Join(has, " ")
}

func (l *lab) wantPort(name, want string) {
	l.t.Helper()
	if got := l.port(name); got != want {
		l.t.Errorf("%s has %q, want %q", name, got, want)
	}
}

// discover is a DISCOVER with a vendor class, and a client-id if id is a MAC.
func (l *lab) discover(last byte, class string, id byte) []byte {
	c := client(last)
	c.VendorClass = class
	if id != 0 {
		m := mac(id)
		c.ClientID = append([]byte{dhcp4.HTypeEthernet}, m[:]...)
	}
	return l.frame(c, storm.Message{Type: dhcp4.Discover})
}

// gets wants an offer of an address.
func (l *lab) gets(last byte, class string, id byte, addr string) {
	l.t.Helper()
	l.check(l.exchange(l.discover(last, class, id)), dhcp4.Offer, addr)
}

// unknown asks with a MAC that no port has.
func (l *lab) unknown(last byte, class string, id byte) {
	l.t.Helper()
	l.silent(l.discover(last, class, id), engine.UnknownHost)
}

// TestUpdateIPMI: a new server and its BMC on one switch port ask, are stored,
// each in its place, and answered with their own addresses.
func TestUpdateIPMI(t *testing.T) {
	t.Parallel()
	l := newBootLab(t, "--update-ipmi")
	l.unknown(0x21, pxeClass, 0)
	l.stored(1)
	l.gets(0x21, pxeClass, 0, "10.9.0.101")
	l.unknown(0x22, bmcClass, 0x22)
	l.stored(2)
	l.gets(0x22, bmcClass, 0x22, "10.9.0.201")
	l.gets(0x21, "", 0, "10.9.0.101")
	l.wantPort("new", "mac=02:00:00:00:00:21 ipmi-mac=02:00:00:00:00:22")

	l.unknown(0x23, "", 0x25) // the card's client-id is the ipmi-mac so far
	l.stored(3)
	l.gets(0x23, "", 0x25, "10.9.0.202")
	l.wantPort("card", "mac=02:00:00:00:00:24 ipmi-mac=02:00:00:00:00:23")
	for _, want := range []string{
		`"host":"/server/new","port":"port-nic-eth 1","set":"mac"}`, `"host":"/server/new","port":"port-nic-eth 1","set":"ipmi-mac"}`,
		`"host":"/server/card","port":"port-nic-eth 1","set":"ipmi-mac","instead_of":"02:00:00:00:00:25"}`,
	} {
		if n := strings.Count(l.log.String(), want); n != 1 {
			t.Errorf("%d lines with %s", n, want)
		}
	}
}

// TestUpdateIPMILeavesAlone what is alive and what is not one server's.
func TestUpdateIPMILeavesAlone(t *testing.T) {
	t.Parallel()
	l := newBootLab(t, "--update-ipmi")
	l.gets(0x26, "", 0, "10.9.0.103")
	for last, want := range map[byte]string{
		0x27: "02:00:00:00:00:26, which is alive",
		0x28: "/server/pair1, /server/pair2",
	} {
		for range 3 {
			l.unknown(last, pxeClass, 0)
		}
		l.until("a warning of "+want, func() bool { return strings.Contains(l.log.String(), want) })
		if n := strings.Count(l.log.String(), want); n != 1 {
			t.Errorf("%d warnings of %s", n, want)
		}
	}
	l.unknown(0x2a, pxeClass, 0) // no server's
	l.unknown(0x21, pxeClass, 0) // one in its turn behind it
	l.stored(1)
	l.wantPort("alive", "mac=02:00:00:00:00:26")
	l.wantPort("pair1", "")
	l.wantPort("pair2", "")
	l.wantPort("nosrv", "")
	l.gets(0x26, "", 0, "10.9.0.103")
}

// TestUpdateIPMIShared: BMC and host have one MAC. The BMC asks first; the host
// boots with the second try.
func TestUpdateIPMIShared(t *testing.T) {
	t.Parallel()
	l := newBootLab(t, "--update-ipmi")
	l.unknown(0x29, bmcClass, 0)
	l.stored(1)
	l.wantPort("shared", "ipmi-mac=02:00:00:00:00:29")
	l.silent(l.discover(0x29, pxeClass, 0), engine.NoAddress)
	l.stored(2)
	l.gets(0x29, pxeClass, 0, "10.9.0.106")
	l.wantPort("shared", "ipmi-mac=02:00:00:00:00:29 mac=02:00:00:00:00:29")
}

// TestUpdateIPMIOff: nothing is asked for and nothing is written; a BMC that is
// known is answered all the same.
func TestUpdateIPMIOff(t *testing.T) {
	t.Parallel()
	l := newBootLab(t)
	l.api.fail(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/query/get_entities" || r.Method == http.MethodPost {
			t.Errorf("it asks %s %s", r.Method, r.URL)
		}
		l.api.next.ServeHTTP(w, r)
	})
	for last, class := range map[byte]string{0x21: pxeClass, 0x22: bmcClass, 0x23: ""} {
		l.unknown(last, class, 0x25)
		l.unknown(last, class, 0x25)
	}
	l.gets(0x0b, bmcClass, 0, "10.9.0.61")
	l.stop()
	l.wantPort("new", "")
	l.wantPort("card", "mac=02:00:00:00:00:24 ipmi-mac=02:00:00:00:00:25")
}

// TestUpdateIPMIWithInventoryDown: a write that fails is made when the inventory
// is back, though the client asks no more; others are answered meanwhile.
func TestUpdateIPMIWithInventoryDown(t *testing.T) {
	t.Parallel()
	l := newBootLab(t, "--update-ipmi")
	l.api.fail(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/batch" {
			http.Error(w, "no", http.StatusBadGateway)
			return
		}
		l.api.next.ServeHTTP(w, r)
	})
	l.unknown(0x21, pxeClass, 0)
	l.until("a warning", func() bool { return strings.Contains(l.log.String(), "tried again until the inventory answers") })
	l.wantPort("new", "")
	l.gets(1, "", 0, "10.9.0.51")
	l.api.fail(nil)
	l.stored(1)
	l.gets(0x21, pxeClass, 0, "10.9.0.101")
}

// TestUpdateIPMIBehindTheOriginal, which takes writes by GET.
func TestUpdateIPMIBehindTheOriginal(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.apply(bootSite)
	srv := l.old(l.store, false)
	srv.Fail(func(call string) string {
		name, ok := strings.CutPrefix(call, "GET /server/")
		name, query, found := strings.Cut(name, "/set_port_attr?")
		if !ok || !found {
			return ""
		}
		p, err := url.ParseQuery(query)
		if err != nil || p.Get("porttype") != "nic-eth" || p.Get("portnum") != "1" {
			t.Errorf("no way to set a port: %s: %v", call, err)
		}
		l.apply(fmt.Sprintf("servers: {%s: {ports: {nic-eth: {1: {%s: %q}}}}}", name, p.Get("key"), p.Get("value")))
		srv.Changed()
		return "HTTP/1.0 200 OK\r\nContent-Type: text/html; charset=UTF-8\r\n\r\n"
	})
	l.start("--update-ipmi", "--cache-ttl", time.Hour.String(), "--negative-ttl", time.Hour.String())
	l.unknown(0x21, pxeClass, 0)
	l.stored(1)
	l.gets(0x21, pxeClass, 0, "10.9.0.101")
	l.unknown(0x22, bmcClass, 0)
	l.stored(2)
	l.gets(0x22, bmcClass, 0, "10.9.0.201")
	l.wantPort("new", "mac=02:00:00:00:00:21 ipmi-mac=02:00:00:00:00:22")
}
