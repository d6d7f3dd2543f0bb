package inventory

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
)

// resolver answers from operations as the store does from the database.
type resolver struct {
	attrs map[string][]clusto.Attr
	in    map[string][]string
}

func resolve(ops []clusto.Op) *resolver {
	r := &resolver{attrs: map[string][]clusto.Attr{}, in: map[string][]string{}}
	for _, op := range ops {
		switch op.Op {
		case "attr":
			r.attrs[op.Name] = append(r.attrs[op.Name], clusto.Attr{Key: op.Key, Subkey: op.Subkey, Number: op.Number, Value: *op.Value, Origin: op.Name})
		case "insert":
			r.in[op.Name] = append(r.in[op.Name], op.Into)
		}
	}
	return r
}

// host gives the merged dhcp attributes of one entity as text, and whether it
// is enabled.
func (r *resolver) host(name string) (map[string]string, bool) {
	h := clusto.Host{Entity: clusto.Entity{Name: name, Type: "server"}}
	level := []string{name}
	for d := 0; len(level) > 0; d++ {
		var next []string
		for _, n := range level {
			for _, a := range r.attrs[n] {
				if a.Key == "dhcp" {
					a.Distance = d
					h.Attrs = append(h.Attrs, a)
				}
			}
			next = append(next, r.in[n]...)
		}
		level = next
	}
	h.Attrs = clusto.Merge(h.Attrs)
	h.Decide()
	out := map[string]string{}
	for _, a := range h.Attrs {
		out[a.Sub()] = a.Value.Text()
	}
	return out, h.Enabled
}

func parseSample(t *testing.T, n int) *Site {
	t.Helper()
	site, err := Parse("sample.yaml", Sample(n))
	if err != nil {
		t.Fatalf("sample of %d: %v", n, err)
	}
	return site
}

func TestSample(t *testing.T) {
	for _, n := range []int{0, 1, 2, 41, 1001, 1002, 2500} {
		site := parseSample(t, n)
		if got := len(site.Servers()); got != max(n, 1) {
			t.Errorf("sample of %d has %d servers", n, got)
		}
		r := resolve(site.Ops())
		for _, s := range site.Servers() {
			if _, enabled := r.host(s.Name); !enabled || s.MAC == (clusto.MAC{}) || len(s.Addrs) != 1 {
				t.Fatalf("sample of %d: enabled %v: %+v", n, enabled, s)
			}
			checkHome(t, site.Networks(), s.IP)
		}
	}
}

// checkHome looks for the one network of an address, in which neither the
// answering machine's nor the gateway's address is given to a server.
func checkHome(t *testing.T, networks []clusto.Network, ip netip.Addr) {
	t.Helper()
	homes := 0
	for _, n := range networks {
		if n.Prefix.Contains(ip) {
			homes++
			if ip == n.Gateway || ip == n.Prefix.Addr() || ip == n.Prefix.Addr().Next() {
				t.Errorf("%s is not for servers in %s", ip, n.Prefix)
			}
		}
	}
	if homes != 1 {
		t.Errorf("%s is in %d networks", ip, homes)
	}
}

func TestSampleHoldsTheDocumentedExample(t *testing.T) {
	site := parseSample(t, 100)
	s := site.Servers()[0]
	if s.Name != "ex0000" || s.MAC.String() != "00:11:22:33:44:55" || s.IP.String() != "192.168.1.50" || s.Addrs[0].OSPort != "eth0" {
		t.Errorf("the first server is %+v", s)
	}
	if got := fmt.Sprint(site.Networks()[0]); got != "{lan 192.168.1.0/24 192.168.1.254}" {
		t.Errorf("the first network is %s", got)
	}
	got, _ := resolve(site.Ops()).host("ex0000")
	if want := "map[domain:example.org tftp_filename:/pxelinux.0 tftp_server:192.168.1.1]"; fmt.Sprint(got) != want {
		t.Errorf("options %v, want %s", got, want)
	}
}

func TestSampleOverrides(t *testing.T) {
	r := resolve(parseSample(t, 100).Ops())
	for name, want := range map[string]string{
		"s000001": "domain compute.example.org, file /debian/pxelinux.0, lease 1800, ntp 10.0.0.1",
		"s000003": "domain storage.example.org, file /ceph/pxelinux.0, lease , ntp 10.0.0.1",
		"s000004": "domain compute.example.org, file /rescue/pxelinux.0, lease 7200, ntp 10.0.0.1",
		"s000010": "domain own.example.org, file /debian/pxelinux.0, lease 900, ntp 10.0.0.1",
		"s000050": `domain compute.example.org, file /special/s000050.0, lease 600, ntp ["10.0.4.1", "10.0.0.1"]`,
	} {
		o, _ := r.host(name)
		got := fmt.Sprintf("domain %s, file %s, lease %s, ntp %s", o["domain"], o["tftp_filename"], o["lease_time"], o["NTP_server"])
		if got != want {
			t.Errorf("%s\ngot  %s\nwant %s", name, got, want)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	data := Sample(10000)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse("s.yaml", data); err != nil {
			b.Fatal(err)
		}
	}
}
