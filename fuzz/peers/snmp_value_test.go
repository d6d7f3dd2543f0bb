package peers

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/big"
	"net"

	"github.com/gosnmp/gosnmp"

	"github.com/clusto/clusto-engine/codec/snmp"
)

// The types that gosnmp knows and we give no name.
const (
	tagUinteger32 = byte(gosnmp.Uinteger32) // of RFC 1442 section 7.1.10, which RFC 2578 no longer has
	opaqueHead    = 0x9f                    // net-snmp's float and double are in an Opaque, behind this byte
)

// sameValue compares a value as far as both give it: all types of RFC 3416 section 3. gosnmp gives
// UnknownType for others, and for a number that is longer than 64 bits.
func sameValue(v snmp.VarBind, w gosnmp.SnmpPDU) bool {
	switch v.Tag {
	case snmp.TagInteger:
		n, isInt := v.Int()
		u, isUint := v.Uint()
		want := number(v.Value)
		return is(w, v.Tag, int(want.Int64())) && isInt == fits(want) && (!isInt || int64(n) == want.Int64()) &&
			isUint == (isInt && n >= 0) && (!isUint || int64(u) == want.Int64())
	case snmp.TagCounter32, snmp.TagGauge32, snmp.TagTimeTicks, snmp.TagCounter64:
		return sameUnsigned(v, w)
	case snmp.TagOctetString:
		b, ok := w.Value.([]byte)
		return ok && byte(w.Type) == v.Tag && bytes.Equal(b, v.Value)
	case snmp.TagOID:
		if len(v.Value) == 0 {
			return is(w, v.Tag, ".0.0") // gosnmp's way to write none (X.690 section 8.19.2 has one sub-identifier at least)
		}
		return is(w, v.Tag, "."+snmp.OID(v.Value).String())
	case snmp.TagIPAddress:
		if len(v.Value) == 0 {
			return is(w, v.Tag, nil) // gosnmp's way to write none (RFC 2578 section 7.1.5 has four bytes)
		}
		return is(w, v.Tag, net.IP(v.Value).String())
	case snmp.TagOpaque:
		return sameOpaque(v.Value, w)
	case tagUinteger32:
		return is(w, v.Tag, uint32(number(v.Value).Int64()))
	case snmp.TagNull, byte(gosnmp.NoSuchObject), byte(gosnmp.NoSuchInstance), byte(gosnmp.EndOfMibView):
		return is(w, v.Tag, nil)
	}
	return is(w, byte(gosnmp.UnknownType), nil)
}

func is(w gosnmp.SnmpPDU, tag byte, val any) bool { return byte(w.Type) == tag && w.Value == val }

// sameUnsigned compares a number without a sign. Of one that gosnmp cannot hold, and of one of 32
// bits in more than that, we say that it is none; and of one that has no bytes (X.690 section 8.3.1),
// which gosnmp has for zero.
func sameUnsigned(v snmp.VarBind, w gosnmp.SnmpPDU) bool {
	want := new(big.Int).SetBytes(v.Value)
	if n, ok := v.Uint(); v.Tag != snmp.TagCounter64 && (ok != (len(v.Value) > 0 && want.BitLen() <= 32) || ok && uint64(n) != want.Uint64()) {
		return false
	}
	switch {
	case len(v.Value) > 9 || want.BitLen() > 64:
		return is(w, byte(gosnmp.UnknownType), nil)
	case v.Tag == snmp.TagTimeTicks:
		return is(w, v.Tag, uint32(want.Uint64()))
	case v.Tag == snmp.TagCounter64:
		return is(w, v.Tag, want.Uint64())
	}
	return is(w, v.Tag, uint(want.Uint64()))
}

// sameOpaque compares an Opaque, which gosnmp gives as the float or double that it holds.
func sameOpaque(val []byte, w gosnmp.SnmpPDU) bool {
	inside, size := float(val)
	switch {
	case size == 4 && len(inside) == 4:
		f, ok := w.Value.(float32)
		return ok && w.Type == gosnmp.OpaqueFloat && math.Float32bits(f) == binary.BigEndian.Uint32(inside)
	case size == 8 && len(inside) == 8:
		f, ok := w.Value.(float64)
		return ok && w.Type == gosnmp.OpaqueDouble && math.Float64bits(f) == binary.BigEndian.Uint64(inside)
	}
	b, ok := w.Value.([]byte)
	return ok && size == 0 && w.Type == gosnmp.Opaque && bytes.Equal(b, val)
}

// float gives the contents of the float or double that an Opaque holds, and how many bytes it should
// have; 0 if it holds something else.
func float(val []byte) (inside []byte, size int) {
	if len(val) < 3 || val[0] != opaqueHead || val[1] != byte(gosnmp.OpaqueFloat) && val[1] != byte(gosnmp.OpaqueDouble) {
		return nil, 0
	}
	size = 4
	if val[1] == byte(gosnmp.OpaqueDouble) {
		size = 8
	}
	head := 3
	n := int(val[2])
	if n >= 0x80 {
		if head += n & 0x7f; n == 0x80 || head > len(val) {
			return nil, size
		}
		n = 0
		for _, c := range val[3:head] {
			if n = n<<8 | int(c); n < 0 {
				return nil, size
			}
		}
	}
	if n > len(val)-head {
		return nil, size
	}
	return val[head : head+n], size
}

// undecodable reports whether gosnmp refuses a whole message for this value. We look at no value before
// somebody asks for it: each object has its own syntax (RFC 3416 section 3).
func undecodable(v snmp.VarBind) bool {
	switch v.Tag {
	case snmp.TagInteger, tagUinteger32:
		return len(v.Value) == 0 || len(v.Value) > 8
	case snmp.TagIPAddress:
		return len(v.Value) != 0 && len(v.Value) != net.IPv4len && len(v.Value) != net.IPv6len
	case snmp.TagOID:
		return !whole(v.Value)
	case snmp.TagOpaque:
		inside, size := float(v.Value)
		return len(v.Value) == 0 || len(inside) != size && size != 0
	}
	return false
}

// whole reports whether the last sub-identifier of an OID is there, and all are of 32 bits.
func whole(oid []byte) bool {
	n := new(big.Int)
	for _, c := range oid {
		n.Or(n.Lsh(n, 7), big.NewInt(int64(c&0x7f)))
		if n.BitLen() > 32 {
			return false
		}
		if c&0x80 == 0 {
			n.SetInt64(0)
		}
	}
	return len(oid) == 0 || oid[len(oid)-1]&0x80 == 0
}

// longTicks: leading zeros that X.690 section 8.3.2 forbids are tolerated, as in every number; gosnmp
// takes a time-stamp of nine bytes at most.
func longTicks(b []byte) bool {
	r := headV1(b)
	for _, tag := range []byte{snmp.TagOID, snmp.TagIPAddress, snmp.TagInteger, snmp.TagInteger} {
		r.next(tag)
	}
	return len(r.next(snmp.TagTimeTicks)) > 9
}

// headV1 is at the beginning of the Trap-PDU of a message that has one.
func headV1(b []byte) reading {
	all := reading{rest: b}
	m := reading{rest: all.next(snmp.TagSequence)}
	m.next(snmp.TagInteger)
	m.next(snmp.TagOctetString)
	return reading{rest: m.next(snmp.TagTrapV1)}
}
