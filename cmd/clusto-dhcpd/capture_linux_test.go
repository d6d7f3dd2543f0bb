package main

import (
	"bytes"
	"cmp"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/codec/frame"
	"github.com/clusto/clusto-engine/engine/storm"
)

// plenty are hosts with an option of every encoding, and with more than a
// message holds.
var plenty = `
servers:
  full:
    in: dc
    mac: "02:00:00:00:00:20"
    ip: 10.9.0.80
    dhcp:
      time_zone: -3600
      time_server: [10.9.0.3, 10.9.0.4]
      name_server: "10.9.0.3,10.9.0.4"
      boot-size: 4096
      dump_path: /var/crash
      swap-server: 10.9.0.5
      ip-forwarding: 0
      policy-filter: "10.0.0.0,255.0.0.0"
      default_ttl: 64
      path-mtu-plateau-table: [68, 576, 1500]
      interface-mtu: 1500
      static-routes: "10.1.0.0,10.9.0.254"
      arp_cache_timeout: 60
      NIS_domain: nis.example.org
      vendor_specific: "0x0104deadbeef"
      NetBIOS_node_type: 8
      rebinding_time: 3000
      tftp_server: 10.9.0.2
      tftp_filename: /pxelinux.0
      slp_service_agent: "0x010a090003"
      slp_service_scope: "0x0164656661756c74"
      auto-config: 0
      domain_search: [a.example.org, b.example.org]
      sip_ua_service_domains: sip.example.org
      classless_static_routes: "10.0.0.0/8,10.9.0.254,0.0.0.0/0,10.9.0.253"
      vendor_class: "0x0000000903616263"
      vendor_specific_information: "0x000000090401020304"
      default-url: http://10.9.0.2/site
      capwap-ac-v4: [10.9.0.6, 10.9.0.7]
      tftp_server_address: 10.9.0.2
      pxelinux_configuration_file: pxelinux.cfg/default
      pxelinux_path_prefix: /tftpboot/
      pxelinux_reboot_time: 30
  long:
    in: dc
    mac: "02:00:00:00:00:21"
    ip: 10.9.0.81
    dhcp:
      default-url: "http://10.9.0.2/` + strings.Repeat("split", 56) + `"
      nds-tree-name: ` + strings.Repeat("f", 90) + `
      netinfo-server-tag: ` + strings.Repeat("s", 60) + `
`

// saying is a request of a host, and what of its answer tshark must see.
type saying struct {
	name  string
	last  byte                // of the MAC
	alter func(*storm.Client) // nil: as client makes it
	m     storm.Message
	typ   string // option 53 of the reply, as a number; "" for BOOTP
	sees  string // codes of options
}

// sayings bring out every kind of reply.
func sayings() []saying {
	own, server := ip("10.9.0.52"), ip(serverIP)
	relayed := func(c *storm.Client) {
		c.Relay = &storm.Relay{Addr: ip("10.8.0.254"), MAC: [6]byte{2, 0xaa, 0, 0, 0, 1}, Server: server, AgentInfo: []byte{1, 3, 'p', '/', '7', 2, 1, 9}}
	}
	uuid := append([]byte{dhcp4.OptUUID, 17, 0}, "a machine's UUID"...)
	return []saying{
		{"OFFER", 2, nil, storm.Message{Type: dhcp4.Discover}, "2", "54 51 1 3 58 59 12 15 28 42 66 67"},
		{"OFFER by broadcast", 2, func(c *storm.Client) { c.Broadcast = true }, storm.Message{Type: dhcp4.Discover}, "2", "51"},
		{"OFFER to a BMC", 0x0b, nil, storm.Message{Type: dhcp4.Discover}, "2", "51"},
		{"ACK, selecting", 2, nil, storm.Message{Type: dhcp4.Request, Requested: own, ServerID: server}, "5", "54 51 58"},
		{"ACK, init-reboot", 2, nil, storm.Message{Type: dhcp4.Request, Requested: own}, "5", "51"},
		{"ACK, renewing", 2, nil, storm.Message{Type: dhcp4.Request, CIAddr: own, Unicast: true}, "5", "51"},
		{"ACK, rebinding", 2, nil, storm.Message{Type: dhcp4.Request, CIAddr: own}, "5", "51"},
		{"ACK to INFORM", 2, nil, storm.Message{Type: dhcp4.Inform, CIAddr: own}, "5", "1 3"},
		{"NAK", 2, nil, storm.Message{Type: dhcp4.Request, Requested: ip("10.9.0.99")}, "6", "54 56"},
		{"BOOTP", 2, nil, storm.Message{}, "", "1 3"},
		{"client-id", 2, func(c *storm.Client) { c.ClientID = []byte{0, 'm', 'e'} }, storm.Message{Type: dhcp4.Discover}, "2", "61"},
		{"relayed OFFER", 7, relayed, storm.Message{Type: dhcp4.Discover}, "2", "82"},
		{"relayed NAK", 7, relayed, storm.Message{Type: dhcp4.Request, Requested: ip("10.9.0.57")}, "6", "56 82"},
		{"802.1Q", 2, tagged(frame.Tag{TPID: 0x8100, TCI: 100}), storm.Message{Type: dhcp4.Discover}, "2", "51"},
		{"QinQ", 2, tagged(frame.Tag{TPID: 0x88a8, TCI: 9}, frame.Tag{TPID: 0x8100, TCI: 100}), storm.Message{Type: dhcp4.Discover}, "2", "51"},
		{"PXEClient", 2, booting("PXEClient:Arch:00007:UNDI:003016", uuid), storm.Message{Type: dhcp4.Discover}, "2", "66 67 97"},
		{"HTTPClient", 2, booting("HTTPClient:Arch:00016:UNDI:003001", uuid), storm.Message{Type: dhcp4.Discover}, "2", "60 97"},
		{"every encoding", 0x20, maxSize(1500), storm.Message{Type: dhcp4.Discover}, "2", "2 19 33 43 119 121 124 125 138 141 150 208 209 211"},
		{"more than fits", 0x20, maxSize(576), storm.Message{Type: dhcp4.Discover}, "2", "51 52"},
		{"split and overloaded", 0x21, maxSize(650, 114, 86, 113), storm.Message{Type: dhcp4.Discover}, "2", "52 86 113 114 114"},
	}
}

func tagged(tags ...frame.Tag) func(*storm.Client) {
	return func(c *storm.Client) { c.NTags = copy(c.Tags[:], tags) }
}

func booting(class string, opts []byte) func(*storm.Client) {
	return func(c *storm.Client) { c.VendorClass, c.Options = class, opts }
}

// maxSize limits the reply, in which the wishes come first.
func maxSize(n uint16, wishes ...byte) func(*storm.Client) {
	return func(c *storm.Client) {
		c.MaxSize, c.ParameterList = n, append(wishes, c.ParameterList...)
	}
}

// say asks and gives the reply's frame as it was on the cable.
func (l *lab) say(s saying) []byte {
	c := client(s.last)
	if s.alter != nil {
		s.alter(c)
	}
	r := l.ask(c, s.m)
	if r.TPID == 0 {
		return r.Data
	}
	return slices.Concat(r.Data[:12], []byte{byte(r.TPID >> 8), byte(r.TPID), byte(r.TCI >> 8), byte(r.TCI)}, r.Data[12:])
}

// fields are what tshark is asked for, in the order of sight.
var fields = []string{
	"dhcp.option.dhcp", "dhcp.option.type", "dhcp.type", "dhcp.ip.client", "ieee8021ad.id", "vlan.id", "ip.checksum.status", "udp.checksum.status",
	"_ws.malformed", "_ws.expert.severity", "_ws.expert.message",
}

// sight is what tshark makes of one frame.
type sight struct {
	typ     string // option 53
	options []string
	reply   bool // op 2
	ciaddr  string
	vlans   string // of 802.1ad and of 802.1Q
	faults  []string
}

// Words of tshark's.
const (
	sumGood     = "1"
	severeWarn  = "6291456"
	severeError = "8388608"
)

func parseSight(line string) (s sight) {
	f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
	s = sight{typ: f[0], options: strings.Split(f[1], ","), reply: f[2] == "2", ciaddr: f[3], vlans: f[4] + "/" + f[5]}
	f = f[6:]
	if f[0] != sumGood {
		s.faults = append(s.faults, "IP checksum")
	}
	if f[1] != sumGood {
		s.faults = append(s.faults, "UDP checksum")
	}
	if f[2] != "" {
		s.faults = append(s.faults, "malformed")
	}
	for severity := range strings.SplitSeq(f[3], ",") {
		if severity == severeWarn || severity == severeError {
			s.faults = append(s.faults, "expert: "+f[4])
			break
		}
	}
	return s
}

func parseSights(out string) (all []sight) {
	for line := range strings.Lines(out) {
		if strings.HasSuffix(line, "\n") { // one that is not there in full is not there
			all = append(all, parseSight(line))
		}
	}
	return all
}

// tshark makes a command that dissects, by nobody's preferences.
func tshark(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	args = append(args, "-n", "-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE", "-T", "fields")
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	cmd := exec.Command(need(t, "tshark", "tshark"), args...)
	dir := t.TempDir()
	cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=" + dir, "TMPDIR=" + dir}
	return cmd
}

// dissect has tshark read frames.
func dissect(t *testing.T, frames [][]byte) []sight {
	t.Helper()
	var b bytes.Buffer
	w := pcapgo.NewWriter(&b)
	must(t, w.WriteFileHeader(65536, layers.LinkTypeEthernet))
	for i, f := range frames {
		must(t, w.WritePacket(gopacket.CaptureInfo{Timestamp: time.Unix(int64(i), 0), CaptureLength: len(f), Length: len(f)}, f))
	}
	file := t.TempDir() + "/frames.pcap"
	must(t, os.WriteFile(file, b.Bytes(), 0o600))
	out, err := tshark(t, "-r", file).Output()
	if err != nil {
		t.Fatalf("tshark: %v", err)
	}
	all := parseSights(string(out))
	if len(all) != len(frames) {
		t.Fatalf("tshark sees %d frames, want %d:\n%s", len(all), len(frames), out)
	}
	return all
}

// TestTshark has an independent program read every kind of reply.
func TestTshark(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.apply(plenty)
	l.start()
	all := sayings()
	var frames [][]byte
	for _, s := range all {
		frames = append(frames, l.say(s))
	}
	for i, got := range dissect(t, frames) {
		want := all[i]
		if len(got.faults) > 0 || !got.reply || got.typ != want.typ {
			t.Errorf("%s: tshark sees type %q, a reply %v, and finds %q\n% x", want.name, got.typ, got.reply, got.faults, frames[i])
		}
		for code := range strings.FieldsSeq(want.sees) {
			at := slices.Index(got.options, code)
			if at < 0 {
				t.Errorf("%s: tshark sees no (further) option %s in %v", want.name, code, got.options)
				continue
			}
			got.options = slices.Delete(got.options, at, at+1)
		}
		if vlans := cmp.Or(map[string]string{"802.1Q": "/100", "QinQ": "9/100"}[want.name], "/"); got.vlans != vlans {
			t.Errorf("%s: tshark sees VLANs %q, want %q", want.name, got.vlans, vlans)
		}
	}
}

// TestTsharkFindsFaults: what the test before trusts in does find faults.
func TestTsharkFindsFaults(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start()
	good := l.ask(client(2), storm.Message{Type: dhcp4.Discover})
	change := func(at int, by byte) []byte {
		b := bytes.Clone(good.Data)
		b[at] += by
		return b
	}
	remake := func(at int, val ...byte) []byte {
		h := frame.Header{EthDst: good.udp.EthDst, EthSrc: good.udp.EthSrc, Src: good.udp.Src, Dst: good.udp.Dst, SrcPort: 67, DstPort: 68}
		b := append(h.AppendTo(nil), good.udp.Payload...)
		b = append(b[:h.Len()+at], val...)
		h.Finish(b)
		return b
	}
	const options = 240 // where they begin
	plants := []struct {
		fault string
		frame []byte
	}{
		{"", good.Data},
		{"IP checksum", change(14+8, 1)}, // time to live
		{"UDP checksum", change(100, 1)},
		{"malformed", remake(options, 53, 1, 2, 12, 200, 'x')},
		{"expert: ", remake(options, 53, 1, 2, 1, 3, 255, 255, 255, 255)}, // a mask of three bytes
		{"malformed", remake(200)},
	}
	var frames [][]byte
	for _, p := range plants {
		frames = append(frames, p.frame)
	}
	for i, got := range dissect(t, frames) {
		found := strings.Join(got.faults, "; ")
		if want := plants[i].fault; !strings.Contains(found, want) || (want == "") != (found == "") {
			t.Errorf("frame %d: tshark finds %q, want %q", i, found, want)
		}
	}
}

// TestTsharkLive watches a client's cable while it gets and renews its lease.
func TestTsharkLive(t *testing.T) {
	t.Parallel()
	need(t, "dumpcap", "tshark")
	l := newLab(t)
	g := newUdhcpc(l, 2)
	l.start()
	var out, says journal
	cmd := tshark(t, "-i", "cli0", "-l", "-f", "udp src port 67")
	cmd.Stdout, cmd.Stderr = &out, &says
	must(t, l.peer.Start(cmd))
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGINT) // it may have ended by itself
		_ = cmd.Wait()                         // the end that was asked for
		if t.Failed() {
			t.Logf("tshark says:\n%s", &says)
		}
	})
	l.until("tshark at work", func() bool { return strings.Contains(says.String(), "Capturing on") })
	sights := func() []sight { return parseSights(out.String()) }
	l.until("a NAK in tshark's eyes", func() bool {
		l.ask(client(1), storm.Message{Type: dhcp4.Request, Requested: ip("10.9.0.99")})
		return len(sights()) > 0
	})
	g.start()
	g.await("bound")
	g.signal(syscall.SIGUSR1)
	g.await("renew")
	l.until("the ACK of the renewal", func() bool {
		return slices.ContainsFunc(sights(), func(s sight) bool { return s.typ == "5" && s.ciaddr == "10.9.0.52" })
	})
	types := map[string]bool{}
	for _, s := range sights() {
		types[s.typ] = true
		if len(s.faults) > 0 || !s.reply {
			t.Errorf("tshark sees %+v", s)
		}
	}
	if !types["2"] || !types["5"] || !types["6"] || len(types) != 3 {
		t.Errorf("tshark saw the types %v, want OFFER, ACK and NAK", types)
	}
}
