package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/codec/frame"
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
	got := netip.AddrFrom4(m.YIAddr())
	switch typ := messageType(m); {
	case hardware(m.MAC()) != w.mac:
		return fmt.Errorf("the reply is for %s", hardware(m.MAC()))
	case typ != dhcp4.Ack:
		return fmt.Errorf("the last reply is of type %s, not an ACK", typ)
	case got != w.ip:
		return fmt.Errorf("got %s, want %s", got, w.ip)
	}
	return nil
}

// decode reads the DHCP message of a frame, whose options can be walked to their
// end.
func decode(b []byte) (m dhcp4.View, err error) {
	if len(b) == 0 {
		return m, errors.New("there was no reply")
	}
	var u frame.UDP4
	err = u.Parse(b, false)
	if err == nil {
		m, err = dhcp4.Parse(u.Payload)
	}
	if err == nil {
		options := m.Options()
		for _, _, ok := options.Next(); ok; _, _, ok = options.Next() {
		}
		err = options.Err()
	}
	switch {
	case err != nil:
		return m, fmt.Errorf("the reply is malformed: %w", err)
	case u.SrcPort != dhcp4.ServerPort || m.Op() != dhcp4.OpReply || !m.HasCookie():
		return m, errors.New("the reply is no DHCP message")
	}
	return m, nil
}

// messageType is 0 of a message without one.
func messageType(m dhcp4.View) dhcp4.MessageType {
	options := m.Options()
	for code, val, ok := options.Next(); ok; code, val, ok = options.Next() {
		if code == dhcp4.OptMessageType && len(val) == 1 {
			return dhcp4.MessageType(val[0])
		}
	}
	return 0
}

// describe writes a reply for people, a line for each field and option.
func describe(m dhcp4.View) string {
	var b strings.Builder
	line := func(name string, val any) { fmt.Fprintf(&b, "  %-27s %v\n", name, val) }
	line("yiaddr", netip.AddrFrom4(m.YIAddr()))
	line("siaddr", netip.AddrFrom4(m.SIAddr()))
	if file, _, _ := bytes.Cut(m.File(), []byte{0}); len(file) > 0 {
		line("file", string(file))
	}
	options := m.Options()
	for code, val, ok := options.Next(); ok; code, val, ok = options.Next() {
		line(fmt.Sprintf("option %d %s", code, optionNames[code]), optionText(code, val))
	}
	return b.String()
}

// optLogServer and optRootPath are options that only the sample site has: RFC
// 2132 sections 3.9 and 3.19.
const (
	optLogServer = 7 // addresses
	optRootPath  = 17
)

// optionNames are those of the options that replies of the sample site may have.
var optionNames = map[byte]string{
	dhcp4.OptSubnetMask: "SubnetMask", dhcp4.OptRouter: "Router", dhcp4.OptDNS: "DNS", optLogServer: "LogServer",
	dhcp4.OptHostname: "Hostname", dhcp4.OptDomainName: "DomainName", optRootPath: "RootPath", dhcp4.OptMTU: "InterfaceMTU",
	dhcp4.OptBroadcast: "BroadcastAddress", dhcp4.OptNTP: "NTPServers", dhcp4.OptLeaseTime: "LeaseTime",
	dhcp4.OptMessageType: "MessageType", dhcp4.OptServerID: "ServerID", dhcp4.OptRenewal: "Timer1", dhcp4.OptRebinding: "Timer2",
	dhcp4.OptTFTPServer: "TFTPServerName", dhcp4.OptBootFile: "BootFileName", dhcp4.OptArch: "Architecture",
	dhcp4.OptPXELinuxMagic: "PXELINUXMagic", dhcp4.OptConfigFile: "PXELINUXConfigFile", dhcp4.OptPathPrefix: "PXELINUXPathPrefix",
}

// optionText writes an option's value: what is known as a type, addresses or
// seconds as such, else text if it is some, else bytes.
func optionText(code byte, val []byte) string {
	switch code {
	case dhcp4.OptMessageType:
		if len(val) == 1 {
			return dhcp4.MessageType(val[0]).String()
		}
	case dhcp4.OptRenewal, dhcp4.OptRebinding, dhcp4.OptLeaseTime:
		if len(val) == 4 {
			return fmt.Sprint(binary.BigEndian.Uint32(val))
		}
	case dhcp4.OptSubnetMask, dhcp4.OptServerID, dhcp4.OptBroadcast, dhcp4.OptRouter, dhcp4.OptDNS, dhcp4.OptNTP, optLogServer:
		var ips []string
		for ; len(val) >= 4; val = val[4:] {
			ips = append(ips, netip.AddrFrom4([4]byte(val)).String())
		}
		return strings.Join(ips, " ")
	}
	if utf8.Valid(val) && strings.IndexFunc(string(val), unicode.IsControl) < 0 {
		return string(val)
	}
	return fmt.Sprintf("% x", val)
}
