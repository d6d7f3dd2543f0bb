package storm

import (
	"bytes"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/codec/frame"
)

// sent is a frame as gopacket sees it.
type sent struct {
	src, dst, ipSrc, ipDst string
	ports                  [2]uint16
	hops, flags            int
	ciaddr, giaddr         string
	options                []byte // codes in order, without End
}

func decode(t *testing.T, f []byte) (s sent, d *layers.DHCPv4) {
	t.Helper()
	pkt := gopacket.NewPacket(f, layers.LayerTypeEthernet, gopacket.Default)
	if e := pkt.ErrorLayer(); e != nil {
		t.Fatal(e.Error())
	}
	eth := pkt.Layer(layers.LayerTypeEthernet).(*layers.Ethernet)
	ip := pkt.Layer(layers.LayerTypeIPv4).(*layers.IPv4)
	udp := pkt.Layer(layers.LayerTypeUDP).(*layers.UDP)
	d = pkt.Layer(layers.LayerTypeDHCPv4).(*layers.DHCPv4)
	s = sent{
		eth.SrcMAC.String(), eth.DstMAC.String(), ip.SrcIP.String(), ip.DstIP.String(),
		[2]uint16{uint16(udp.SrcPort), uint16(udp.DstPort)},
		int(d.HardwareOpts), int(d.Flags),
		d.ClientIP.String(), d.RelayAgentIP.String(), nil,
	}
	for _, o := range d.Options {
		s.options = append(s.options, byte(o.Type))
	}
	if len(udp.Payload) < 300 {
		t.Errorf("the message has %d bytes, want 300 or more", len(udp.Payload))
	}
	return s, d
}

// What AppendFrame writes, read by gopacket.
func TestAppendFrame(t *testing.T) {
	c := Client{
		MAC: [6]byte{2, 0, 0, 0, 0, 1}, ClientID: []byte{1, 2, 0, 0, 0, 0, 1}, VendorClass: "PXEClient",
		ParameterList: []byte{1, 3}, MaxSize: 1472, Options: []byte{93, 2, 0, 7}, Broadcast: true,
		Addr: [4]byte{10, 0, 0, 1}, Server: serverAddr, ServerMAC: serverMAC,
	}
	relayed := c
	relayed.Relay = &Relay{Addr: [4]byte{10, 9, 0, 1}, AgentInfo: []byte{1, 1, 'x'}}
	const mac, all, any4, all4 = "02:00:00:00:00:01", "ff:ff:ff:ff:ff:ff", "0.0.0.0", "255.255.255.255"
	for _, tc := range []struct {
		name string
		c    *Client
		verb Verb
		want sent
	}{
		{"discover", &c, Discover, sent{mac, all, any4, all4, [2]uint16{68, 67}, 0, 0x8000, any4, any4, []byte{53, 61, 57, 60, 55, 93}}},
		{"request", &c, Request, sent{mac, all, any4, all4, [2]uint16{68, 67}, 0, 0x8000, any4, any4, []byte{53, 61, 50, 54, 57, 60, 55, 93}}},
		{"init-reboot", &c, InitReboot, sent{mac, all, any4, all4, [2]uint16{68, 67}, 0, 0x8000, any4, any4, []byte{53, 61, 50, 57, 60, 55, 93}}},
		{"renew", &c, Renew, sent{mac, "02:ee:00:00:00:01", "10.0.0.1", "10.255.255.254", [2]uint16{68, 67}, 0, 0x8000, "10.0.0.1", any4, []byte{53, 61, 57, 60, 55, 93}}},
		{"release", &c, Release, sent{mac, "02:ee:00:00:00:01", "10.0.0.1", "10.255.255.254", [2]uint16{68, 67}, 0, 0, "10.0.0.1", any4, []byte{53, 61, 54}}},
		{"decline", &c, Decline, sent{mac, all, any4, all4, [2]uint16{68, 67}, 0, 0, any4, any4, []byte{53, 61, 50, 54}}},
		{"relayed discover", &relayed, Discover, sent{mac, all, "10.9.0.1", all4, [2]uint16{67, 67}, 1, 0x8000, any4, "10.9.0.1", []byte{53, 61, 57, 60, 55, 93, 82}}},
		{"renew past the relay", &relayed, Renew, sent{mac, "02:ee:00:00:00:01", "10.0.0.1", "10.255.255.254", [2]uint16{68, 67}, 0, 0x8000, "10.0.0.1", any4, []byte{53, 61, 57, 60, 55, 93}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := tc.verb.message(tc.c)
			m.XID, m.Secs = 0x01020304, 9
			f := AppendFrame(nil, tc.c, &m)
			if end := bytes.TrimRight(f, "\x00"); end[len(end)-1] != dhcp4.OptEnd {
				t.Error("the options do not end with End")
			}
			got, d := decode(t, f)
			if !bytes.Equal(got.options, tc.want.options) {
				t.Errorf("options %v, want %v", got.options, tc.want.options)
			}
			got.options, tc.want.options = nil, nil
			if !equalSent(got, tc.want) {
				t.Errorf("got\n%+v, want\n%+v", got, tc.want)
			}
			if d.Xid != m.XID || d.Secs != 9 || d.ClientHWAddr.String() != mac || d.Operation != layers.DHCPOpRequest {
				t.Errorf("%+v", d)
			}
		})
	}
}

func equalSent(a, b sent) bool {
	a.options, b.options = nil, nil
	return a.src == b.src && a.dst == b.dst && a.ipSrc == b.ipSrc && a.ipDst == b.ipDst && a.ports == b.ports &&
		a.hops == b.hops && a.flags == b.flags && a.ciaddr == b.ciaddr && a.giaddr == b.giaddr
}

// A BOOTP request has a vend field of zeros, and the tags are in line. The
// frame may stand behind others in dst.
func TestAppendFrameBOOTP(t *testing.T) {
	c := Client{MAC: [6]byte{2, 0, 0, 0, 0, 1}, NTags: 1, Tags: [2]frame.Tag{{TPID: 0x8100, TCI: 42}}}
	b := AppendFrame([]byte("before"), &c, &Message{XID: 7})
	var u frame.UDP4
	if err := u.Parse(b[len("before"):], false); err != nil {
		t.Fatal(err)
	}
	v, err := dhcp4.Parse(u.Payload)
	if err != nil {
		t.Fatal(err)
	}
	if o := v.Options(); u.NTags != 1 || u.Tags[0].VLAN() != 42 || v.XID() != 7 || len(u.Payload) != 300 {
		t.Errorf("%+v", u)
	} else if code, _, ok := o.Next(); ok {
		t.Errorf("option %d in a BOOTP request", code)
	}
}
