package pcap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

// file writes captures in one byte order.
type file struct{ binary.AppendByteOrder }

var orders = map[string]file{"little": {binary.LittleEndian}, "big": {binary.BigEndian}}

// words are 32-bit ones.
func (f file) words(all ...uint32) (b []byte) {
	for _, w := range all {
		b = f.AppendUint32(b, w)
	}
	return b
}

// halves are 16-bit words.
func (f file) halves(all ...uint16) (b []byte) {
	for _, w := range all {
		b = f.AppendUint16(b, w)
	}
	return b
}

// header is that of a pcap (draft-ietf-opsawg-pcap section 4).
func (f file) header(magic, snap, link uint32) []byte {
	return slices.Concat(f.words(magic), f.halves(2, 4), f.words(0, 0, snap, link))
}

// record is a packet of a pcap (section 5).
func (f file) record(sec, frac, length uint32, data string) []byte {
	return append(f.words(sec, frac, uint32(len(data)), length), data...)
}

// block is one of pcapng, with padding (draft-ietf-opsawg-pcapng section 3.1).
func (f file) block(typ uint32, body ...[]byte) []byte {
	b := slices.Concat(body...)
	for len(b)%4 > 0 {
		b = append(b, 0)
	}
	size := uint32(12 + len(b))
	return slices.Concat(f.words(typ, size), b, f.words(size))
}

// section is a section header of unknown length, with a comment (section 4.1).
func (f file) section(major, minor uint16) []byte {
	return f.block(sectionHeader, f.words(0x1a2b3c4d), f.halves(major, minor), f.words(0xffffffff, 0xffffffff), f.option(1, "by hand"), f.option(0, ""))
}

// option is one of pcapng, with padding (section 3.5).
func (f file) option(code uint16, val string) []byte {
	return append(f.halves(code, uint16(len(val))), val+strings.Repeat("\x00", -len(val)&3)...)
}

// iface is an interface description (section 4.2).
func (f file) iface(link uint16, snap uint32, options ...[]byte) []byte {
	return f.block(interfaceDescription, f.halves(link, 0), f.words(snap), slices.Concat(options...))
}

// enhanced and simple are packets (sections 4.3, 4.4); obsolete is one (appendix A).
func (f file) enhanced(id uint32, ts uint64, length uint32, data string) []byte {
	return f.block(enhancedPacket, f.words(id, uint32(ts>>32), uint32(ts), uint32(len(data)), length), []byte(data))
}

func (f file) obsolete(id uint16, ts uint64, length uint32, data string) []byte {
	return f.block(obsoletePacket, f.halves(id, 7), f.words(uint32(ts>>32), uint32(ts), uint32(len(data)), length), []byte(data))
}

func (f file) simple(length uint32, data string) []byte {
	return f.block(simplePacket, f.words(length), []byte(data))
}

func (f file) uint64(v uint64) string { return string(f.AppendUint64(nil, v)) }

// listed reads a file to its end, in a line for each packet and one for the end.
func listed(b []byte) (lines []string) {
	r, err := New(bytes.NewReader(b))
	if err != nil {
		return []string{"new: " + err.Error()}
	}
	for {
		p, err := r.Next()
		if err != nil {
			return append(lines, err.Error())
		}
		at := "-"
		if !p.At.IsZero() {
			at = p.At.Format(time.RFC3339Nano)
			if p.At.Location() != time.UTC {
				at += " local"
			}
		}
		lines = append(lines, fmt.Sprintf("%s %d %q", at, p.Len, p.Data))
	}
}

// samples are captures, and what is in them.
func samples(f file) map[string]struct {
	b    []byte
	want []string
} {
	const micro, nano = 0xa1b2c3d4, 0xa1b23c4d
	cat := slices.Concat[[]byte]
	intro := cat(f.section(1, 0), f.iface(ethernet, 0))
	cooked := f.iface(113, 0)
	offset := ^uint64(9) // -10
	return map[string]struct {
		b    []byte
		want []string
	}{
		"microseconds": {
			cat(f.header(micro, 99, ethernet), f.record(1, 999_999, 3, "abc"), f.record(0xffffffff, 5_000_000, 60, "d")),
			[]string{`1970-01-01T00:00:01.999999Z 3 "abc"`, `2106-02-07T06:28:20Z 60 "d"`, "EOF"},
		},
		"nanoseconds":        {cat(f.header(nano, 0, 0x3400_0001), f.record(1, 999_999_999, 0, "")), []string{`1970-01-01T00:00:01.999999999Z 0 ""`, "EOF"}},
		"no packets":         {f.header(micro, 0, ethernet), []string{"EOF"}},
		"of -i any":          {f.header(micro, 0, 113), []string{"new: its frames are not Ethernet's but Linux SLL's"}},
		"a far link type":    {f.header(micro, 0, 257), []string{"new: its frames are not Ethernet's but link type 257's"}},
		"another version":    {bytes.Replace(f.header(micro, 0, ethernet), f.halves(4), f.halves(3), 1), []string{"new: unknown version 2.3"}},
		"over the snap":      {cat(f.header(micro, 2, ethernet), f.record(0, 0, 3, "abc")), []string{"capture length exceeds snap length: 3 > 2"}},
		"over the packet":    {cat(f.header(micro, 0, ethernet), f.record(0, 0, 2, "abc")), []string{"capture length exceeds original packet length: 3 > 2"}},
		"over the bound":     {cat(f.header(micro, 1<<30, ethernet), f.words(0, 0, 1<<20, 1<<20)), []string{"capture length exceeds snap length: 1048576 > 262144"}},
		"a text":             {[]byte("trap 1 from 10.42.0.2, and so on"), []string{"new: unknown magic 70617274"}},
		"all kinds":          {cat(intro, f.enhanced(0, 1_500_000, 4, "abcd"), f.block(0xbad, []byte("skipped")), f.simple(2, "ef"), f.obsolete(0, 2e6, 9, "g")), []string{`1970-01-01T00:00:01.5Z 4 "abcd"`, `- 2 "ef"`, `1970-01-01T00:00:02Z 9 "g"`, "EOF"}},
		"a bounded simple":   {cat(f.section(1, 0), f.iface(ethernet, 3), f.simple(9, "abc")), []string{`- 9 "abc"`, "EOF"}},
		"blocks before":      {cat(f.section(1, 2), f.block(0xbad), f.iface(ethernet, 0)), []string{"EOF"}},
		"several interfaces": {cat(intro, f.iface(ethernet, 0, f.option(9, "\x09")), f.enhanced(1, 7, 1, "a"), f.enhanced(0, 7, 1, "b")), []string{`1970-01-01T00:00:00.000000007Z 1 "a"`, `1970-01-01T00:00:00.000007Z 1 "b"`, "EOF"}},
		"several sections": {
			cat(f.section(1, 0), f.iface(ethernet, 0, f.option(9, "\x09")), f.iface(ethernet, 0), f.enhanced(1, 0, 1, "a"), orders["big"].section(1, 0), orders["big"].iface(ethernet, 0), orders["big"].enhanced(0, 1, 1, "b"), orders["big"].enhanced(1, 1, 1, "c")),
			[]string{`1970-01-01T00:00:00Z 1 "a"`, `1970-01-01T00:00:00.000001Z 1 "b"`, "the file is damaged: a packet before the description of interface 1"},
		},
		"a power of two": {cat(f.section(1, 0), f.iface(ethernet, 0, f.option(9, "\x8a")), f.enhanced(0, 1024+512+1, 0, "")), []string{`1970-01-01T00:00:01.500976562Z 0 ""`, "EOF"}},
		"seconds":        {cat(f.section(1, 0), f.iface(ethernet, 0, f.option(9, "\x00")), f.enhanced(0, 3, 0, "")), []string{`1970-01-01T00:00:03Z 0 ""`, "EOF"}},
		"the finest":     {cat(f.section(1, 0), f.iface(ethernet, 0, f.option(9, "\x13")), f.enhanced(0, 1e19+999_999_999_999_999_999, 0, "")), []string{`1970-01-01T00:00:01.099999999Z 0 ""`, "EOF"}},
		"too fine":       {cat(f.section(1, 0), f.iface(ethernet, 0, f.option(9, "\x14"))), []string{"new: the file is damaged: a time resolution of 20, too fine for 64 bits"}},
		"an offset": {
			cat(f.section(1, 0), f.iface(ethernet, 0, f.option(2, "eth0"), f.option(14, f.uint64(offset)), f.option(0, ""), f.option(14, f.uint64(1))), f.enhanced(0, 11e6, 0, "")),
			[]string{`1970-01-01T00:00:01Z 0 ""`, "EOF"},
		},
		"options behind others": {
			cat(f.section(1, 0), f.iface(ethernet, 0, f.option(9, "\x09"), f.option(14, f.uint64(offset)), f.option(9, "\x03")), f.enhanced(0, 11_000, 0, "")),
			[]string{`1970-01-01T00:00:01Z 0 ""`, "EOF"},
		},
		"interfaces that differ": {cat(intro, cooked, f.enhanced(0, 0, 1, "a"), f.enhanced(1, 0, 1, "b")), []string{`1970-01-01T00:00:00Z 1 "a"`, "its frames are not Ethernet's but Linux SLL's"}},
		"the first is another":   {cat(f.section(1, 0), cooked), []string{"new: its frames are not Ethernet's but Linux SLL's"}},
		"no interface":           {cat(f.section(1, 0), f.simple(1, "a")), []string{"new: the file is damaged: a packet before the description of interface 0"}},
		"a section alone":        {f.section(1, 0), []string{"new: the file is cut off"}},
		"a later format":         {f.section(2, 0), []string{"new: unknown version 2.0"}},
		"no byte order":          {bytes.Replace(f.section(1, 0), f.words(0x1a2b3c4d), f.words(0x1a2b2b1a), 1), []string{"new: the file is damaged: a byte order magic of 439036698"}},
		"a short block":          {cat(intro, f.words(6, 8, 0)), []string{"the file is damaged: a block of 8 bytes"}},
		"a huge block":           {cat(intro, f.words(5, 1<<30, 0)), []string{"the file is damaged: a block of 1073741824 bytes"}},
		"a block that lacks":     {cat(intro, f.block(enhancedPacket, f.words(0, 0, 0, 0))), []string{"the file is damaged: a block that lacks 4 bytes"}},
		"over its block":         {cat(intro, f.simple(5, "abcd")), []string{"the file is damaged: a packet of 5 bytes"}},
		"over the bound of all":  {cat(intro, f.words(6, 1<<20, 0, 0, 0, MaxPacket+1, MaxPacket+1)), []string{"the file is damaged: a packet of 262145 bytes"}},
		"an option over all":     {cat(f.section(1, 0), f.iface(ethernet, 0, f.halves(2, 5), f.words(0))), []string{"new: the file is damaged: an option of 5 bytes, more than its block has"}},
	}
}

// TestReader: what is in a capture comes, in either byte order.
func TestReader(t *testing.T) {
	for order, f := range orders {
		for name, c := range samples(f) {
			if got := listed(c.b); !slices.Equal(got, c.want) {
				t.Errorf("%s, %s endian:\n%q\nwant\n%q", name, order, got, c.want)
			}
		}
	}
}

// TestCutOff: a file cut anywhere but behind a packet, or behind a block, is cut off.
func TestCutOff(t *testing.T) {
	for order, f := range orders {
		pcap := f.header(0xa1b2c3d4, 0, ethernet)
		ng := slices.Concat(f.section(1, 0), f.iface(ethernet, 0))
		for name, c := range map[string]struct {
			b    []byte
			ends []int
		}{
			"pcap":   {append(pcap, f.record(0, 0, 9, "abc")...), []int{len(pcap), len(pcap) + 19}},
			"pcapng": {append(ng, f.enhanced(0, 0, 3, "abc")...), []int{len(ng), len(ng) + 36}},
		} {
			for n := range len(c.b) + 1 {
				last := listed(c.b[:n])
				end := last[len(last)-1]
				if want := slices.Contains(c.ends, n); want != (end == "EOF") || !want && !strings.HasSuffix(end, ErrCutOff.Error()) {
					t.Errorf("%s, %s endian, cut behind %d bytes of %d: %q", name, order, n, len(c.b), last)
				}
			}
		}
	}
}

// TestReadersError: an error of what is read from comes as it is.
func TestReadersError(t *testing.T) {
	broken := errors.New("broken")
	f := orders["little"]
	pcap := append(f.header(0xa1b2c3d4, 0, ethernet), f.record(0, 0, 9, "abc")...)
	for _, n := range []int{0, 10, 24, 30, 42} {
		r, err := New(io.MultiReader(bytes.NewReader(pcap[:n]), failing{broken}))
		if err == nil {
			_, err = r.Next()
		}
		if !errors.Is(err, broken) {
			t.Errorf("behind %d bytes: %v", n, err)
		}
	}
}

type failing struct{ error }

func (f failing) Read([]byte) (int, error) { return 0, f.error }
