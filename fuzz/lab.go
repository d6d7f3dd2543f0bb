package fuzz

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/codec/frame"
	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/engine/dhcp"
	"github.com/clusto/clusto-engine/fuzz/corpus"
)

// Link is the interface that frames come in on.
var Link = &engine.Link{
	Name: "eth0", Index: 2, MAC: [6]byte{2, 0, 0, 0, 0, 5}, MTU: 1500, Up: true,
	Addrs: []netip.Prefix{netip.MustParsePrefix("10.42.0.5/24")},
	VLANs: map[uint16][]netip.Prefix{43: {netip.MustParsePrefix("10.43.0.5/24")}},
	Local: map[netip.Addr]struct{}{netip.MustParseAddr("10.42.0.5"): {}},

	Neighbours: map[netip.Addr][6]byte{netip.MustParseAddr("10.42.0.11"): {2, 0, 0, 0, 1, 11}, netip.MustParseAddr("10.42.0.1"): gateway},
	Gateways:   []engine.Gateway{{To: netip.MustParsePrefix("10.44.0.0/16"), Via: netip.MustParseAddr("10.42.0.1")}},
}

var gateway = [6]byte{2, 0, 0, 0, 1, 1}

// The inventory has one host in two networks, which is given these addresses, and
// one that is switched off.
var (
	Known = clusto.MAC{0, 0x1e, 0xc9, 0, 0, 1}
	off   = clusto.MAC{0, 0x1e, 0xc9, 0, 0, 2}
	Gives = []string{"10.42.0.11", "10.43.0.11"}
)

type hosts map[clusto.MAC]*dhcp.Prepared

func (i hosts) Lookup(mac clusto.MAC, _ int64) (*dhcp.Prepared, dhcp.State) {
	if p, ok := i[mac]; ok {
		return p, dhcp.Fresh
	}
	return nil, dhcp.Absent
}

func (i hosts) PeekAll(to []*dhcp.Prepared, macs []clusto.MAC) []*dhcp.Prepared {
	for _, mac := range macs {
		if p, ok := i[mac]; ok {
			to = append(to, p)
		}
	}
	return to
}

func (hosts) Fetch(context.Context, clusto.MAC) (*dhcp.Prepared, dhcp.State, error) {
	return nil, dhcp.Missing, errors.New("everything is at hand")
}

// NewHandler makes a DHCP engine over that inventory.
func NewHandler(tb testing.TB) *dhcp.Handler {
	tb.Helper()
	return dhcp.NewServer(dhcp.Config{Hosts: newHosts(tb), Lot: engine.NewLot(engine.LotConfig{Slots: 8})}).Handler()
}

func newHosts(tb testing.TB) hosts {
	tb.Helper()
	all := hosts{}
	for _, mac := range []clusto.MAC{Known, off} {
		h := &clusto.Host{MAC: mac, Entity: clusto.Entity{Name: "s0001", Type: "server"}, Hostname: "s0001", Enabled: mac == Known}
		for i, ip := range Gives {
			n := clusto.ParseNetwork("n", []string{"10.42.0.0", "10.43.0.0"}[i], "255.255.255.0", "")
			h.Addresses = append(h.Addresses, clusto.Address{IP: netip.MustParseAddr(ip), Network: n})
		}
		for name, value := range map[string]string{"tftp_server": "10.42.0.7", "tftp_filename": "/pxelinux.0", "root_disk_path": string(bytes.Repeat([]byte("r"), 300))} {
			h.Attrs = append(h.Attrs, clusto.Attr{Key: "dhcp", Subkey: &name, Value: clusto.Value{Type: clusto.String, Str: value}})
		}
		p, warnings := dhcp.Prepare(h, dhcp.PrepareConfig{})
		if len(warnings) > 0 {
			tb.Fatal(warnings)
		}
		all[mac] = p
	}
	return all
}

// InFrames gives messages as datagrams to a port.
func InFrames(messages []corpus.Input, port uint16) (all []corpus.Input) {
	h := frame.Header{EthDst: [6]byte{255, 255, 255, 255, 255, 255}, EthSrc: Known, Src: [4]byte{10, 42, 0, 2}, Dst: [4]byte{10, 42, 0, 5}, SrcPort: 68, DstPort: port}
	for i, in := range messages {
		if h.NTags = i % 2; h.NTags == 1 {
			h.Tags[0] = frame.Tag{TPID: 0x8100, TCI: 43}
		}
		b := append(h.AppendTo(nil), in.Bytes...)
		h.Finish(b)
		all = append(all, corpus.Input{Name: in.Name, Bytes: b})
	}
	return all
}

// Tag gives a tag that a kernel takes out of a frame: none, or one of the two that it knows.
func Tag(which uint8, tci uint16) frame.Tag {
	switch which % 3 {
	case 1:
		return frame.Tag{TPID: 0x8100, TCI: tci}
	case 2:
		return frame.Tag{TPID: 0x88a8, TCI: tci}
	}
	return frame.Tag{}
}

// Received is a frame as a Conn gives it, without the tag that the kernel took out. With mend the IP header's checksum is
// made right and the datagram's is said to be partial, so that what was changed
// deeper is looked at.
func Received(b []byte, mend bool, outer frame.Tag) *engine.Packet {
	p := &engine.Packet{Data: bytes.Clone(b), Link: Link, TPID: outer.TPID, TCI: outer.TCI, CsumPartial: mend, Truncated: len(b) > engine.FrameSize}
	for at := 14; mend && len(b) >= at+20 && at <= 22; at += 4 {
		if ip := p.Data[at:]; binary.BigEndian.Uint16(p.Data[at-2:]) == 0x0800 && len(ip) >= int(ip[0]&15)*4 && ip[0]&15 >= 5 {
			ip[10], ip[11] = 0, 0
			binary.BigEndian.PutUint16(ip[10:], ^sum(ip[:int(ip[0]&15)*4]))
			break
		}
	}
	return p
}

// sum is RFC 1071 in the plainest words.
func sum(b []byte) (s uint16) {
	total := 0
	for i, c := range b {
		total += int(c) << (8 * (1 - i%2))
	}
	for total > 0xffff {
		total = total>>16 + total&0xffff
	}
	return uint16(total)
}
