package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/engine/netlab"
)

// demoOfGopacket has the test binary run demoWithGopacket.
const demoOfGopacket = "demo-with-gopacket"

// TestDemoAgainstGopacket: the demo reads its clients' replies with the project's own
// codecs; gopacket, which knows nothing of them, reads the same frames and must find
// the same.
func TestDemoAgainstGopacket(t *testing.T) {
	r := runClusto(t, "", demoOfGopacket)
	if want := "gopacket agrees on 300 replies\n"; r.code != 0 || r.err != "" || !strings.Contains(r.out, want) || !strings.Contains(r.out, "gopacket agrees on 30 replies\n") {
		t.Errorf("code %d\n%s%s", r.code, r.out, r.err)
	}
}

// demoWithGopacket runs the demo, with a look of gopacket at what it judged.
func demoWithGopacket() int {
	d := demo{flags: demoFlags{Servers: 300, Outstanding: 256, Shown: 3}}
	err := netlab.Enter()
	ctx := context.Background()
	for _, step := range []func(context.Context) error{
		d.writeSite, d.makeNetwork, d.startInventory, d.importSite, d.startDHCP, d.powerOn, d.gopacket,
		d.makeRack, d.askInVain, d.plugIn, d.bootRack, d.gopacket,
	} {
		if err == nil {
			err = step(ctx)
		}
	}
	if err = errors.Join(err, d.close(err != nil)); err != nil {
		return fail("demo", exitFailed, err)
	}
	return 0
}

// gopacket compares what every client was sent with what is wanted, and its listing.
func (d *demo) gopacket(context.Context) error {
	for i, w := range d.want {
		if err := w.checkWithGopacket(d.acks[i]); err != nil {
			return fmt.Errorf("%s, to gopacket: %w", w.name, err)
		}
	}
	_, err := fmt.Printf("gopacket agrees on %d replies\n", len(d.want))
	return err
}

// checkWithGopacket judges the frame that a client was sent last.
func (w *expectation) checkWithGopacket(frame []byte) error {
	m, err := decodeWithGopacket(frame)
	if err != nil {
		return err
	}
	ours, err := decode(frame)
	if err != nil {
		return err
	}
	got, _ := netip.AddrFromSlice(m.YourClientIP.To4())
	switch typ := typeOf(m); {
	case m.ClientHWAddr.String() != w.mac.String():
		return fmt.Errorf("the reply is for %s", m.ClientHWAddr)
	case typ != layers.DHCPMsgTypeAck:
		return fmt.Errorf("the last reply is of type %s, not an ACK", typ)
	case got != w.ip:
		return fmt.Errorf("got %s, want %s", got, w.ip)
	}
	if got, want := describe(ours), describeWithGopacket(m); got != want {
		return fmt.Errorf("the demo lists\n%sfor\n%s", got, want)
	}
	return nil
}

// decodeWithGopacket reads a frame.
func decodeWithGopacket(frame []byte) (m *layers.DHCPv4, err error) {
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

func typeOf(m *layers.DHCPv4) layers.DHCPMsgType {
	for _, o := range m.Options {
		if o.Type == layers.DHCPOptMessageType && len(o.Data) == 1 {
			return layers.DHCPMsgType(o.Data[0])
		}
	}
	return layers.DHCPMsgTypeUnspecified
}

// describeWithGopacket writes a reply for people, a line for each field and option.
func describeWithGopacket(m *layers.DHCPv4) string {
	var b strings.Builder
	line := func(name string, val any) { fmt.Fprintf(&b, "  %-27s %v\n", name, val) }
	line("yiaddr", m.YourClientIP)
	line("siaddr", m.NextServerIP)
	if file := strings.TrimRight(string(m.File), "\x00"); file != "" {
		line("file", file)
	}
	for _, o := range m.Options {
		if o.Type != layers.DHCPOptPad && o.Type != layers.DHCPOptEnd {
			line(fmt.Sprintf("option %d %s", byte(o.Type), nameOf(o.Type)), textOf(o))
		}
	}
	return b.String()
}

// named are those that gopacket lacks, or misspells.
var named = map[layers.DHCPOpt]string{
	7: "LogServer", 26: "InterfaceMTU", 66: "TFTPServerName", 67: "BootFileName", 93: "Architecture",
	208: "PXELINUXMagic", 209: "PXELINUXConfigFile", 210: "PXELINUXPathPrefix",
}

// nameOf gives an option's name, if it has one.
func nameOf(t layers.DHCPOpt) string {
	if name := named[t]; name != "" {
		return name
	}
	if name := t.String(); !strings.HasPrefix(name, "Unknown") {
		return name
	}
	return ""
}

// textOf writes an option's value: text if it is some, addresses and numbers as
// gopacket knows them, else as bytes.
func textOf(o layers.DHCPOption) string {
	switch o.Type {
	case layers.DHCPOptMessageType:
		return strings.ToUpper(layers.DHCPMsgType(o.Data[0]).String())
	case layers.DHCPOptSubnetMask, layers.DHCPOptServerID, layers.DHCPOptBroadcastAddr,
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

// TestOptionNamesAreThoseOfGopacket: an option of the sample site has the name that
// gopacket knows it by.
func TestOptionNamesAreThoseOfGopacket(t *testing.T) {
	for code, name := range optionNames {
		if want := nameOf(layers.DHCPOpt(code)); name != want {
			t.Errorf("option %d is called %q, to gopacket %q", code, name, want)
		}
	}
	if len(optionNames) == 0 || optionNames[dhcp4.OptSubnetMask] == "" {
		t.Error("no names")
	}
}
