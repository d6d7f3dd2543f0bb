package snmp

import (
	"encoding/binary"
	"math/bits"
	"strconv"
)

// OID is an object identifier as BER encodes it (X.690 section 8.19), without
// tag and length. Encodings are compared, never texts: sub-identifiers end
// themselves, so one OID is below another if its bytes begin with the other's.
type OID []byte

// checkOID refuses encodings that are not the only one of their OID, by which
// two equal OIDs could differ.
func checkOID(o []byte) error {
	if len(o) == 0 || o[len(o)-1]&0x80 != 0 {
		return ErrOID
	}
	for i := 0; i < len(o); {
		if len(o) >= 8 { // nearly all sub-identifiers are of one byte
			from := min(i, len(o)-8)
			w := binary.LittleEndian.Uint64(o[from:]) >> (8 * (i - from) & 63) & 0x8080808080808080
			if w == 0 && from == len(o)-8 {
				break
			}
			i += bits.TrailingZeros64(w) / 8
		}
		start := i
		for o[i]&0x80 != 0 { // the last byte of o ends it
			i++
		}
		if n := i - start; n > 0 && (o[start] == 0x80 || n > 4 || n == 4 && o[start] > 0x8f) {
			return ErrOID
		}
		i++
	}
	return nil
}

// Is reports whether o is the OID that is encoded as the bytes of s.
func (o OID) Is(s string) bool { return string(o) == s }

// Below gives what follows the OID encoded as the bytes of s, if o is below it.
func (o OID) Below(s string) (index OID, ok bool) {
	if len(o) <= len(s) || string(o[:len(s)]) != s {
		return nil, false
	}
	return o[len(s):], true
}

// AppendText appends the OID in dotted form: "1.3.6.1.4.1.9.9.215.2.0.1". o must
// have come from a parsed message.
func (o OID) AppendText(dst []byte) []byte {
	var n uint64
	for i, first := 0, true; i < len(o); i++ {
		n = n<<7 | uint64(o[i]&0x7f)
		if o[i]&0x80 != 0 {
			continue
		}
		if first {
			top := min(n/40, 2)
			dst = strconv.AppendUint(dst, top, 10)
			n -= top * 40
			first = false
		}
		dst = strconv.AppendUint(append(dst, '.'), n, 10)
		n = 0
	}
	return dst
}

// String gives AppendText's form. It allocates, and is for logs.
func (o OID) String() string { return string(o.AppendText(nil)) }

// The OIDs that make a trap (RFC 3418, 3584), encoded.
const (
	oidSysUpTime   = "\x2b\x06\x01\x02\x01\x01\x03\x00"         // 1.3.6.1.2.1.1.3.0
	oidSnmpTrapOID = "\x2b\x06\x01\x06\x03\x01\x01\x04\x01\x00" // 1.3.6.1.6.3.1.1.4.1.0
	oidSnmpTraps   = "\x2b\x06\x01\x06\x03\x01\x01\x05"         // 1.3.6.1.6.3.1.1.5
)
