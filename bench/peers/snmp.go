package main

import (
	"github.com/gosnmp/gosnmp"

	"github.com/clusto/clusto-engine/codec/macnotify"
	"github.com/clusto/clusto-engine/codec/snmp"
	"github.com/clusto/clusto-engine/engine/storm"
)

// trap is a MAC notification with 3 records.
var trapNotice = storm.Notice{Community: []byte("public"), ID: 7, UpTime: 12345, Index: 9, Records: []macnotify.Record{
	{Op: macnotify.Learnt, VLAN: 42, MAC: clientMAC, Port: 1},
	{Op: macnotify.Learnt, VLAN: 42, MAC: [6]byte{0, 0x1e, 0xc9, 0, 0, 2}, Port: 2},
	{Op: macnotify.Removed, VLAN: 42, MAC: [6]byte{0, 0x1e, 0xc9, 0, 0, 3}, Port: 3},
}}

// trapParse is a trap's bytes in, and its objects out. Ours is there a second time
// with all that clusto-snmptrapd does: which notification it is, and its MACs.
var trapParse = contest{"SNMPv2c trap: parse", []entrant{
	{ours, func() func() bool {
		b := trapNotice.AppendTrap(nil)
		var m snmp.Message
		return func() bool {
			if m.Parse(b) != nil {
				return false
			}
			n, it := 0, m.VarBinds()
			for _, ok := it.Next(); ok; _, ok = it.Next() {
				n++
			}
			return n == 4
		}
	}},
	{ours + ", to the MACs", func() func() bool {
		b := trapNotice.AppendTrap(nil)
		var m snmp.Message
		return func() bool {
			if m.Parse(b) != nil || macnotify.KindOf(&m) != macnotify.Changed {
				return false
			}
			n, it := 0, macnotify.Records(&m)
			for _, ok := it.Next(); ok; _, ok = it.Next() {
				n++
			}
			return n == len(trapNotice.Records)
		}
	}},
	{"gosnmp", func() func() bool {
		b := trapNotice.AppendTrap(nil)
		g := &gosnmp.GoSNMP{Version: gosnmp.Version2c, Community: "public"}
		return func() bool {
			p, err := g.UnmarshalTrap(b, false)
			return err == nil && len(p.Variables) == 4
		}
	}},
}}

var informBuild = contest{"Response to an inform: build", []entrant{
	{ours, func() func() bool {
		var m snmp.Message
		if m.Parse(trapNotice.AppendInform(nil)) != nil {
			return func() bool { return false }
		}
		room := make([]byte, 0, 1500)
		return func() bool { return len(snmp.AppendResponse(room, &m)) > 50 }
	}},
	{"gosnmp", func() func() bool {
		g := &gosnmp.GoSNMP{Version: gosnmp.Version2c, Community: "public"}
		p, err := g.SnmpDecodePacket(trapNotice.AppendInform(nil))
		if err != nil {
			return func() bool { return false }
		}
		p.PDUType = gosnmp.GetResponse
		return func() bool {
			b, err := p.MarshalMsg()
			return err == nil && len(b) > 50
		}
	}},
}}
