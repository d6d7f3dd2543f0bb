package dhcp4

import (
	"bytes"
	"net"
	"strings"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// reply has another value in every field.
var reply = Header{
	Op: OpReply, HType: HTypeEthernet, HLen: 6, Hops: 3, XID: 0xdeadbeef, Secs: 0x0102, Flags: 0x8304,
	CIAddr: [4]byte{10, 0, 0, 1}, YIAddr: [4]byte{10, 0, 0, 2}, SIAddr: [4]byte{10, 0, 0, 3}, GIAddr: [4]byte{10, 0, 0, 4},
	CHAddr: [16]byte{0, 0x1e, 0xc9, 0, 0, 1, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
	SName:  "boot0", File: "/pxelinux.0",
}

// header reads the fixed fields back.
func header(v View) Header {
	name := func(b []byte) string { return string(bytes.TrimRight(b, "\x00")) }
	return Header{
		Op: v.Op(), HType: v.HType(), HLen: v.HLen(), Hops: v.Hops(), XID: v.XID(), Secs: v.Secs(), Flags: v.Flags(),
		CIAddr: v.CIAddr(), YIAddr: v.YIAddr(), SIAddr: v.SIAddr(), GIAddr: v.GIAddr(), CHAddr: v.CHAddr(),
		SName: name(v.SName()), File: name(v.File()),
	}
}

func TestAppendHeaderAgainstGopacket(t *testing.T) {
	want := layers.DHCPv4{
		Operation: layers.DHCPOpReply, HardwareType: layers.LinkTypeEthernet, HardwareLen: 6, HardwareOpts: 3,
		Xid: 0xdeadbeef, Secs: 0x0102, Flags: 0x8304,
		ClientIP: net.IP{10, 0, 0, 1}, YourClientIP: net.IP{10, 0, 0, 2}, NextServerIP: net.IP{10, 0, 0, 3}, RelayAgentIP: net.IP{10, 0, 0, 4},
		ClientHWAddr: reply.CHAddr[:], ServerName: []byte("boot0"), File: []byte("/pxelinux.0"),
		Options: layers.DHCPOptions{
			layers.NewDHCPOption(layers.DHCPOptMessageType, []byte{5}),
			layers.NewDHCPOption(layers.DHCPOptHostname, []byte("s0001")),
			layers.NewDHCPOption(layers.DHCPOptDatagramMTU, []byte{0x05, 0xdc}),
			layers.NewDHCPOption(layers.DHCPOptLeaseTime, []byte{0x00, 0x00, 0x0e, 0x10}),
			layers.NewDHCPOption(layers.DHCPOptServerID, []byte{10, 42, 0, 5}),
			layers.NewDHCPOption(layers.DHCPOptRouter, []byte{10, 42, 0, 1, 10, 42, 0, 2}),
			layers.NewDHCPOption(80, nil),
		},
	}
	buf := gopacket.NewSerializeBuffer()
	if err := want.SerializeTo(buf, gopacket.SerializeOptions{}); err != nil {
		t.Fatal(err)
	}
	got := AppendHeader([]byte("before"), &reply)
	got = AppendByte(got, OptMessageType, byte(Ack))
	got = AppendOptionString(got, OptHostname, "s0001")
	got = AppendUint16(got, 22, 1500)
	got = AppendUint32(got, OptLeaseTime, 3600)
	got = AppendAddr(got, OptServerID, [4]byte{10, 42, 0, 5})
	got = AppendOption(got, OptRouter, []byte{10, 42, 0, 1, 10, 42, 0, 2})
	got = AppendEnd(AppendOption(got, 80, nil))
	if got = got[len("before"):]; !bytes.Equal(got, buf.Bytes()) {
		t.Errorf("\n got %x\nwant %x", got, buf.Bytes())
	}
}

// Whatever was recorded and is whole can be made again byte for byte.
func TestAppendRecorded(t *testing.T) {
	made := 0
	for name, msg := range recorded(t) {
		v, err := Parse(msg)
		if err != nil || !v.HasCookie() {
			continue
		}
		options, err := collect(v.Options())
		if err != nil {
			continue
		}
		h := header(v)
		got := AppendHeader(nil, &h)
		for _, o := range options {
			got = AppendOptionString(got, o.code, o.val)
		}
		if len(got) < len(msg) { // some were recorded without an end
			got = Pad(AppendEnd(got), 0, len(msg))
		}
		if !bytes.Equal(got, msg) {
			t.Errorf("%s:\n got %x\nwant %x", name, got, msg)
		}
		made++
	}
	if made < 15 {
		t.Errorf("only %d messages were whole", made)
	}
}

// A name that does not fit is left out, and touches nothing around it.
func TestAppendHeaderNames(t *testing.T) {
	for _, tt := range []struct{ sname, file int }{{0, 0}, {63, 127}, {64, 128}, {65, 128}, {64, 129}, {300, 300}} {
		h := reply
		h.SName, h.File = strings.Repeat("s", tt.sname), strings.Repeat("f", tt.file)
		msg := AppendHeader(bytes.Repeat([]byte{0xee}, 512)[:0], &h) // memory that is not zero
		if len(msg) != FixedLen+4 {
			t.Fatalf("%+v: %d bytes, want 240", tt, len(msg))
		}
		v, err := Parse(msg)
		if err != nil || !v.HasCookie() {
			t.Fatalf("%+v: %v, cookie %v", tt, err, v.HasCookie())
		}
		if tt.sname > SNameLen {
			h.SName = ""
		}
		if tt.file > FileLen {
			h.File = ""
		}
		if got := header(v); got != h {
			t.Errorf("%+v:\n got %+v\nwant %+v", tt, got, h)
		}
	}
}

// Every length at which a value begins another part comes back whole.
func TestAppendOptionSplit(t *testing.T) {
	x := new(Index)
	for n, parts := range map[int]int{0: 1, 1: 1, 254: 1, 255: 1, 256: 2, 509: 2, 510: 2, 511: 3, 765: 3, 766: 4, 1400: 6} {
		val := make([]byte, n)
		for i := range val {
			val[i] = byte(i * 7)
		}
		msg := AppendOption(AppendHeader(nil, &reply), 43, val)
		if size := len(msg) - FixedLen - 4; size != n+2*parts {
			t.Errorf("%d bytes became %d, want %d parts", n, size, parts)
		}
		if s := AppendOptionString(AppendHeader(nil, &reply), 43, string(val)); !bytes.Equal(s, msg) {
			t.Errorf("%d bytes: as a string %x, as bytes %x", n, s, msg)
		}
		v, err := Parse(AppendEnd(msg))
		if err != nil {
			t.Fatal(err)
		}
		if err := x.Build(v); err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		if got, ok := x.Get(43); !ok || !bytes.Equal(got, val) {
			t.Errorf("%d bytes came back as %x, %v", n, got, ok)
		}
	}
}

func TestPad(t *testing.T) {
	for _, tt := range []struct{ have, start, least, want int }{
		{have: 0, start: 0, least: 0, want: 0},
		{have: 240, start: 0, least: 300, want: 300},
		{have: 300, start: 0, least: 300, want: 300},
		{have: 301, start: 0, least: 300, want: 301},
		{have: 282, start: 42, least: 300, want: 342}, // behind the headers of a frame
		{have: 10, start: 10, least: 2000, want: 2010},
	} {
		dirty := bytes.Repeat([]byte{0xee}, 2048)
		got := Pad(dirty[:tt.have], tt.start, tt.least)
		want := append(bytes.Repeat([]byte{0xee}, tt.have), make([]byte, tt.want-tt.have)...)
		if !bytes.Equal(got, want) {
			t.Errorf("Pad(%d bytes, %d, %d) = %x", tt.have, tt.start, tt.least, got)
		}
	}
}

// appendReply is an ACK of ordinary size; the benchmark uses it too.
func appendReply(dst []byte) []byte {
	start := len(dst)
	dst = AppendHeader(dst, &reply)
	dst = AppendByte(dst, OptMessageType, byte(Ack))
	dst = AppendAddr(dst, OptServerID, [4]byte{10, 42, 0, 5})
	dst = AppendUint32(dst, OptLeaseTime, 3600)
	dst = AppendOptionString(dst, OptHostname, "s0001")
	dst = AppendUint16(dst, OptMaxSize, 1500)
	return Pad(AppendEnd(dst), start, 300)
}

func TestAppendNoAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	buf, long := make([]byte, 0, 2048), make([]byte, 1000)
	n := testing.AllocsPerRun(1000, func() {
		AppendOption(appendReply(buf), OptVendorSpecific, long)
	})
	if n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func BenchmarkAppendReply(b *testing.B) {
	buf := make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		buf = appendReply(buf[:0])
	}
}
