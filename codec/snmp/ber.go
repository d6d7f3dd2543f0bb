// Package snmp reads SNMPv1 and SNMPv2c messages that announce something: traps
// of both versions and informs (RFC 1157, 1901, 3416), and writes them and the
// Response to an inform. It reads and writes the caller's memory and does not
// allocate. It imports only errors and strconv.
//
// Messages are BER (ITU-T X.690): every length is checked against what holds
// it, and what a length covers is used up to the last byte. The indefinite form
// is refused, as RFC 3417 section 8 asks.
package snmp

import "errors"

// What is wrong with a message. They come as they are, never wrapped.
var (
	ErrTruncated = errors.New("snmp: a value is longer than what holds it")
	ErrLength    = errors.New("snmp: a length is of the indefinite form, or of more than four bytes")
	ErrTag       = errors.New("snmp: a value has not the type that belongs there")
	ErrTrailing  = errors.New("snmp: something follows the last value of a sequence")
	ErrInteger   = errors.New("snmp: an integer is empty or does not fit its type")
	ErrOID       = errors.New("snmp: an object identifier is empty, cut short, or has a sub-identifier that begins with zeros or exceeds 32 bits")
	ErrAddress   = errors.New("snmp: an IP address is not four bytes long")
	ErrVersion   = errors.New("snmp: the version is neither 1 nor 2c")
	ErrPDU       = errors.New("snmp: neither a trap nor an inform")
	ErrTrapOID   = errors.New("snmp: sysUpTime.0 and snmpTrapOID.0 are not the first two variables")
)

// The tags that appear in messages: universal types, those of SMIv2 (RFC 2578
// section 7.1), the exceptions of RFC 3416 section 3, and the PDUs.
const (
	TagInteger     = 0x02
	TagOctetString = 0x04
	TagNull        = 0x05
	TagOID         = 0x06
	TagSequence    = 0x30
	TagIPAddress   = 0x40
	TagCounter32   = 0x41
	TagGauge32     = 0x42 // Unsigned32 too
	TagTimeTicks   = 0x43
	TagOpaque      = 0x44
	TagCounter64   = 0x46

	TagResponse = 0xa2
	TagTrapV1   = 0xa4
	TagInform   = 0xa6
	TagTrapV2   = 0xa7
)

// next splits the first value off b: its tag, its contents, and what follows.
// The slices alias b.
func next(b []byte) (tag byte, val, rest []byte, err error) {
	if len(b) < 2 {
		return 0, nil, nil, ErrTruncated
	}
	tag = b[0]
	if tag&0x1f == 0x1f { // a tag of several bytes: SNMP has none
		return 0, nil, nil, ErrTag
	}
	n, head := int(b[1]), 2
	if n >= 0x80 {
		if n, head, err = longLength(b); err != nil {
			return 0, nil, nil, err
		}
	}
	if n > len(b)-head {
		return 0, nil, nil, ErrTruncated
	}
	return tag, b[head : head+n : head+n], b[head+n:], nil
}

// longLength reads a length of the long form: b[1] says in how many bytes.
func longLength(b []byte) (n, head int, err error) {
	size := int(b[1] & 0x7f)
	if size == 0 || size > 4 {
		return 0, 0, ErrLength
	}
	if len(b) < 2+size {
		return 0, 0, ErrTruncated
	}
	var v uint64
	for _, c := range b[2 : 2+size] {
		v = v<<8 | uint64(c)
	}
	if v > 1<<31-1 {
		return 0, 0, ErrTruncated
	}
	return int(v), 2 + size, nil
}

// want is next where only one tag may stand.
func want(b []byte, tag byte) (val, rest []byte, err error) {
	got, val, rest, err := next(b)
	if err == nil && got != tag {
		err = ErrTag
	}
	return val, rest, err
}

// only is want where nothing may follow.
func only(b []byte, tag byte) ([]byte, error) {
	val, rest, err := want(b, tag)
	if err == nil && len(rest) > 0 {
		err = ErrTrailing
	}
	return val, err
}

// signed reads the contents of an INTEGER: -2147483648 to 2147483647 (RFC 2578
// section 7.1.1). Leading bytes that say nothing are tolerated.
func signed(val []byte) (int32, error) {
	if len(val) == 0 || len(val) > 8 {
		return 0, ErrInteger
	}
	n := int64(int8(val[0]))
	for _, c := range val[1:] {
		n = n<<8 | int64(c)
	}
	if n != int64(int32(n)) {
		return 0, ErrInteger
	}
	return int32(n), nil
}

// unsigned reads the contents of a TimeTicks, Gauge32 or Counter32: 0 to
// 4294967295. Some agents leave out the zero byte before a set first bit, so
// four bytes are never negative.
func unsigned(val []byte) (uint32, error) {
	for len(val) > 4 && val[0] == 0 {
		val = val[1:]
	}
	if len(val) == 0 || len(val) > 4 {
		return 0, ErrInteger
	}
	var n uint32
	for _, c := range val {
		n = n<<8 | uint32(c)
	}
	return n, nil
}
