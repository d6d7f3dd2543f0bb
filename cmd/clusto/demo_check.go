package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"go.yaml.in/yaml/v3"
)

// expectation is what the file says of one server, read without the project's
// own parser.
type expectation struct {
	name string
	mac  hardware
	ip   netip.Addr
}

// hardware is a MAC that prints as one.
type hardware [6]byte

func (h hardware) String() string { return net.HardwareAddr(h[:]).String() }

// expectations reads the servers of a file, by name.
func expectations(text []byte) ([]expectation, error) {
	var file struct {
		Servers map[string]struct {
			MAC string `yaml:"mac"`
			IP  string `yaml:"ip"`
		} `yaml:"servers"`
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("read the site's servers: %w", err)
	}
	var all []expectation
	for name, s := range file.Servers {
		mac, err := net.ParseMAC(s.MAC)
		ip, iperr := netip.ParseAddr(s.IP)
		if err = errors.Join(err, iperr); err != nil || len(mac) != 6 {
			return nil, fmt.Errorf("read server %s of the site: MAC %q, address %q: %w", name, s.MAC, s.IP, err)
		}
		all = append(all, expectation{name, hardware(mac), ip})
	}
	sort.Slice(all, func(i, j int) bool { return all[i].name < all[j].name })
	return all, nil
}

// check judges the frame that a client was sent last.
func (w *expectation) check(frame []byte) error {
	m, err := decode(frame)
	if err != nil {
		return err
	}
	got, _ := netip.AddrFromSlice(m.YourClientIP.To4())
	switch typ := messageType(m); {
	case m.ClientHWAddr.String() != w.mac.String():
		return fmt.Errorf("the reply is for %s", m.ClientHWAddr)
	case typ != layers.DHCPMsgTypeAck:
		return fmt.Errorf("the last reply is of type %s, not an ACK", typ)
	case got != w.ip:
		return fmt.Errorf("got %s, want %s", got, w.ip)
	}
	return nil
}

// decode reads a frame with gopacket, which knows nothing of this project's
// codec.
func decode(frame []byte) (m *layers.DHCPv4, err error) {
	if len(frame) == 0 {
		return nil, errors.New("there was no reply")
	}
	p := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.Default)
	if e := p.ErrorLayer(); e != nil {
		return nil, fmt.Errorf("the reply is malformed: %w", e.Error())
	}
	m, ok := p.Layer(layers.LayerTypeDHCPv4).(*layers.DHCPv4)
	if !ok {
		return nil, errors.New("the reply is no DHCP message")
	}
	return m, nil
}

func messageType(m *layers.DHCPv4) layers.DHCPMsgType {
	for _, o := range m.Options {
		if o.Type == layers.DHCPOptMessageType && len(o.Data) == 1 {
			return layers.DHCPMsgType(o.Data[0])
		}
	}
	return layers.DHCPMsgTypeUnspecified
}

// describe writes a reply for people, a line for each field and option.
func describe(m *layers.DHCPv4) string {
	var b strings.Builder
	line := func(name string, val any) { fmt.Fprintf(&b, "  %-27s %v\n", name, val) }
	line("yiaddr", m.YourClientIP)
	line("siaddr", m.NextServerIP)
	if file := strings.TrimRight(string(m.File), "\x00"); file != "" {
		line("file", file)
	}
	for _, o := range m.Options {
		if o.Type != layers.DHCPOptPad && o.Type != layers.DHCPOptEnd {
			line(fmt.Sprintf("option %d %s", byte(o.Type), optionName(o.Type)), optionText(o))
		}
	}
	return b.String()
}

// names are those that gopacket lacks, or misspells.
var names = map[layers.DHCPOpt]string{
	7: "LogServer", 26: "InterfaceMTU", 66: "TFTPServerName", 67: "BootFileName", 93: "Architecture",
	208: "PXELINUXMagic", 209: "PXELINUXConfigFile", 210: "PXELINUXPathPrefix",
}

// optionName gives an option's name, if it has one.
func optionName(t layers.DHCPOpt) string {
	if name := names[t]; name != "" {
		return name
	}
	if name := t.String(); !strings.HasPrefix(name, "Unknown") {
		return name
	}
	return ""
}

// optionText writes an option's value: text if it is some, addresses and
// numbers as gopacket knows them, else as bytes.
func optionText(o layers.DHCPOption) string {
	switch o.Type {
	case layers.DHCPOptMessageType, layers.DHCPOptSubnetMask, layers.DHCPOptServerID, layers.DHCPOptBroadcastAddr,
		layers.DHCPOptT1, layers.DHCPOptT2, layers.DHCPOptLeaseTime:
		_, val, _ := strings.Cut(o.String(), ":")
		return strings.TrimSuffix(val, ")")
	case layers.DHCPOptRouter, layers.DHCPOptDNS, layers.DHCPOptNTPServers, layers.DHCPOptLogServer:
		var ips []string
		for b := o.Data; len(b) >= 4; b = b[4:] {
			ips = append(ips, net.IP(b[:4]).String())
		}
		return strings.Join(ips, " ")
	}
	if utf8.Valid(o.Data) && strings.IndexFunc(string(o.Data), unicode.IsControl) < 0 {
		return string(o.Data)
	}
	return fmt.Sprintf("% x", o.Data)
}
