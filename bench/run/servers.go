package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// server is who can be put under load.
type server struct {
	name    string
	program string                           // in PATH; "" for one of ours
	version []string                         // the command that prints it
	prepare func(l *lab) error               // writes what it needs, once
	start   func(l *lab) ([]*process, error) // has it ready to answer
	dora    bool                             // it answers as a DHCP server
}

const (
	apiAddr     = "127.0.0.1:9996" // the namespace is our own
	metricsAddr = "127.0.0.1:9967"
)

var servers = []*server{
	{name: "mirror", prepare: none, start: startMirror},
	{name: "clusto", dora: true, prepare: prepareClusto, start: startClusto},
	{name: "kea", program: "kea-dhcp4", version: []string{"kea-dhcp4", "-v"}, dora: true, prepare: prepareKea, start: startKea},
	{name: "isc", program: "dhcpd", version: []string{"dhcpd", "--version"}, dora: true, prepare: prepareISC, start: startISC},
	{name: "coredhcp", program: "coredhcp", version: []string{"dpkg-query", "-W", "-f", "${Version}", "coredhcp-server"}, dora: true, prepare: prepareCore, start: startCore},
	{name: "dnsmasq", program: "dnsmasq", version: []string{"dnsmasq", "--version"}, dora: true, prepare: prepareDnsmasq, start: startDnsmasq},
}

func none(*lab) error { return nil }

// installed gives the version of a server; "" if it is not there.
func (s *server) installed() string {
	if s.program == "" {
		return "this one"
	}
	if _, err := exec.LookPath(s.program); err != nil {
		return ""
	}
	out, err := exec.Command(s.version[0], s.version[1:]...).CombinedOutput()
	if err != nil {
		return "of unknown version" // and what it prints is why
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if fields := strings.Fields(line); len(fields) > 3 && strings.EqualFold(fields[1], "version") {
		return fields[2] // of "Dnsmasq version 2.90  Copyright ..."
	}
	return strings.TrimPrefix(line, "isc-dhcpd-")
}

func startMirror(l *lab) ([]*process, error) {
	p, err := l.start(l.program("clusto-storm"), "mirror", "--interface", "srv0")
	if err != nil {
		return nil, err
	}
	return []*process{p}, l.await(p, func() bool { return strings.Contains(p.log.String(), "ready") })
}

func prepareClusto(l *lab) error {
	var b strings.Builder
	fmt.Fprintf(&b, "networks:\n  lan: {cidr: %s, gateway: %s}\npools:\n  all:\n    dhcp: {enabled: 1, tftp_server: %s, tftp_filename: /pxelinux.0, domain: example.org, nameservers: %s}\nservers:\n", network, serverAddr, serverAddr, serverAddr)
	for i := range l.Hosts {
		addr, mac := l.host(i)
		fmt.Fprintf(&b, "  h%05d: {in: all, mac: %q, ip: %s}\n", i, mac, addr)
	}
	if err := os.WriteFile(l.file("site.yaml"), []byte(b.String()), 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(l.file("services.conf"), []byte("{}\n"), 0o600); err != nil {
		return err
	}
	out, err := exec.Command(l.program("clusto"), "import", l.file("site.yaml"), "--db", l.file("clusto.db")).CombinedOutput()
	if err != nil {
		return fmt.Errorf("clusto import: %w\n%s", err, out)
	}
	return nil
}

// startClusto runs inventory and DHCP server as two programs, as a site does.
func startClusto(l *lab) ([]*process, error) {
	h, err := l.startHTTPD()
	if err != nil {
		return nil, err
	}
	d, err := l.startDHCPD("http://"+apiAddr, func(*process) bool { return ready(metricsAddr) })
	if err != nil {
		h.stop()
		return nil, err
	}
	return []*process{d, h}, nil
}

func (l *lab) startHTTPD() (*process, error) {
	h, err := l.start(l.program("clusto-httpd"), "--config", l.file("services.conf"), "--db", l.file("clusto.db"), "--listen", apiAddr)
	if err != nil {
		return nil, err
	}
	if err := l.await(h, func() bool { return ready(apiAddr) }); err != nil {
		h.stop()
		return nil, err
	}
	return h, nil
}

func (l *lab) startDHCPD(api string, ready func(*process) bool) (*process, error) {
	d, err := l.start(l.program("clusto-dhcpd"),
		"--config", l.file("services.conf"), "--interface", "srv0", "--api-url", api,
		"--metrics", metricsAddr, "--cache-file", "", "--workers", "1")
	if err != nil {
		return nil, err
	}
	if err := l.await(d, func() bool { return ready(d) }); err != nil {
		d.stop()
		return nil, err
	}
	return d, nil
}

// ready asks a program's /readyz.
func ready(addr string) bool {
	resp, err := http.Get("http://" + addr + "/readyz")
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

func prepareKea(l *lab) error {
	var b strings.Builder
	fmt.Fprintf(&b, `{"Dhcp4": {
 "interfaces-config": {"interfaces": ["srv0"], "dhcp-socket-type": "raw"},
 "lease-database": {"type": "memfile", "persist": true, "name": %q, "lfc-interval": 0},
 "multi-threading": {"enable-multi-threading": true},
 "host-reservation-identifiers": ["hw-address"],
 "valid-lifetime": 3600, "next-server": %q, "boot-file-name": "/pxelinux.0",
 "option-data": [{"name": "routers", "data": %[2]q}, {"name": "domain-name-servers", "data": %[2]q}, {"name": "domain-name", "data": "example.org"}],
 "loggers": [{"name": "kea-dhcp4", "severity": "WARN", "output_options": [{"output": "stdout"}]}],
 "subnet4": [{"subnet": %q, "interface": "srv0", "reservations-out-of-pool": true, "reservations": [`, l.file("kea.leases"), serverAddr, network)
	for i := range l.Hosts {
		addr, mac := l.host(i)
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "\n  {\"hw-address\": %q, \"ip-address\": %q}", mac, addr)
	}
	b.WriteString("]}]}}\n")
	return os.WriteFile(l.file("kea.conf"), []byte(b.String()), 0o644)
}

func startKea(l *lab) ([]*process, error) {
	_ = os.Remove(l.file("kea.leases")) // of the turn before
	p, err := l.start("kea-dhcp4", "-c", l.file("kea.conf"))
	if err != nil {
		return nil, err
	}
	return []*process{p}, l.answers(p)
}

func prepareISC(l *lab) error {
	var b strings.Builder
	fmt.Fprintf(&b, "authoritative;\ndefault-lease-time 3600;\nnext-server %s;\nfilename \"/pxelinux.0\";\noption routers %[1]s;\noption domain-name-servers %[1]s;\noption domain-name \"example.org\";\nsubnet 10.96.0.0 netmask 255.240.0.0 {}\n", serverAddr)
	for i := range l.Hosts {
		addr, mac := l.host(i)
		fmt.Fprintf(&b, "host h%05d { hardware ethernet %s; fixed-address %s; }\n", i, mac, addr)
	}
	return os.WriteFile(l.file("dhcpd.conf"), []byte(b.String()), 0o644)
}

func startISC(l *lab) ([]*process, error) {
	if err := os.WriteFile(l.file("dhcpd.leases"), nil, 0o666); err != nil {
		return nil, err
	}
	p, err := l.start("dhcpd", "-f", "-4", "-q", "-cf", l.file("dhcpd.conf"), "-lf", l.file("dhcpd.leases"), "-pf", l.file("dhcpd.pid"), "srv0")
	if err != nil {
		return nil, err
	}
	return []*process{p}, l.answers(p)
}

func prepareCore(l *lab) error {
	var leases strings.Builder
	for i := range l.Hosts {
		addr, mac := l.host(i)
		fmt.Fprintf(&leases, "%s %s\n", mac, addr)
	}
	conf := fmt.Sprintf(`server4:
  listen: ["%%srv0"]
  plugins:
    - lease_time: 3600s
    - server_id: %s
    - dns: %[1]s
    - router: %[1]s
    - netmask: 255.240.0.0
    - file: %s
    - nbp: tftp://%[1]s/pxelinux.0
`, serverAddr, l.file("core.leases")) // nbp has the last word
	return errors.Join(
		os.WriteFile(l.file("core.leases"), []byte(leases.String()), 0o644),
		os.WriteFile(l.file("core.yml"), []byte(conf), 0o644))
}

func startCore(l *lab) ([]*process, error) {
	p, err := l.start("coredhcp", "--conf", l.file("core.yml"), "--loglevel", "error")
	if err != nil {
		return nil, err
	}
	return []*process{p}, l.answers(p)
}

func prepareDnsmasq(l *lab) error {
	var b strings.Builder
	fmt.Fprintf(&b, "port=0\ninterface=srv0\nbind-interfaces\nno-ping\nleasefile-ro\ndhcp-lease-max=%d\ndhcp-range=10.96.0.0,static,255.240.0.0,1h\ndhcp-boot=/pxelinux.0,,%s\ndhcp-option=3,%[2]s\ndhcp-option=6,%[2]s\ndomain=example.org\n", l.Hosts+1000, serverAddr)
	for i := range l.Hosts {
		addr, mac := l.host(i)
		fmt.Fprintf(&b, "dhcp-host=%s,%s\n", mac, addr)
	}
	return os.WriteFile(l.file("dnsmasq.conf"), []byte(b.String()), 0o644)
}

func startDnsmasq(l *lab) ([]*process, error) {
	p, err := l.start("dnsmasq", "--keep-in-foreground", "--log-facility=-", "--quiet-dhcp", "--user=root", "-C", l.file("dnsmasq.conf"), "--pid-file="+l.file("dnsmasq.pid"))
	if err != nil {
		return nil, err
	}
	return []*process{p}, l.answers(p)
}

// answers waits until a server answers one host.
func (l *lab) answers(p *process) error {
	err := l.await(p, func() bool {
		_, err := l.load(l.ctx, nil, l.program("clusto-storm"), "discover", "-i", "cli0", "--macs", firstMAC+"+1", "-n", "1", "--timeout", "200ms", "-q")
		return err == nil
	})
	if err != nil {
		p.stop()
		return fmt.Errorf("%w\n%s", err, p.log.String())
	}
	return nil
}

// usage is what a program has taken so far.
type usage struct {
	cpu float64 // seconds
	rss float64 // bytes
}

func usageOf(ps []*process) (u usage, err error) {
	for _, p := range ps {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
		if err != nil {
			return u, err
		}
		_, rest, _ := strings.Cut(string(text), ") ") // a name may have spaces
		f := strings.Fields(rest)
		user, err1 := strconv.ParseFloat(f[11], 64) // proc(5): utime is field 14
		system, err2 := strconv.ParseFloat(f[12], 64)
		pages, err3 := strconv.ParseFloat(f[21], 64)
		for _, err := range []error{err1, err2, err3} {
			if err != nil {
				return u, err
			}
		}
		u.cpu += (user + system) / 100 // USER_HZ
		u.rss += pages * float64(os.Getpagesize())
	}
	return u, nil
}
