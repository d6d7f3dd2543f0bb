package frame

import "math/bits"

// sum adds the 16-bit words of b to acc in ones' complement (RFC 1071), eight
// bytes at a time. It reads little endian, which ones' complement allows as
// long as the result is stored little endian too; that saves a swap per load.
// Every part but the last must have an even length.
func sum(acc uint64, b []byte) uint64 {
	var c uint64
	for len(b) >= 32 {
		acc, c = bits.Add64(acc, le64(b[0:8]), 0)
		acc, c = bits.Add64(acc, le64(b[8:16]), c)
		acc, c = bits.Add64(acc, le64(b[16:24]), c)
		acc, c = bits.Add64(acc, le64(b[24:32]), c)
		acc += c // as in add: a chain that starts without a carry cannot end beside 2^64-1
		b = b[32:]
	}
	for len(b) >= 8 {
		acc = add(acc, le64(b))
		b = b[8:]
	}
	return add(acc, tail(b))
}

// add adds in ones' complement.
func add(a, b uint64) uint64 {
	s, c := bits.Add64(a, b, 0)
	return s + c // cannot carry again: beside a carry, s is 2^64-2 at most
}

// tail reads the last 0 to 7 bytes as if zeros followed.
func tail(b []byte) (v uint64) {
	shift := 0
	if len(b) >= 4 {
		v, b, shift = uint64(le32(b)), b[4:], 32
	}
	if len(b) >= 2 {
		v |= (uint64(b[0]) | uint64(b[1])<<8) << shift
		b, shift = b[2:], shift+16
	}
	if len(b) == 1 {
		v |= uint64(b[0]) << shift
	}
	return v
}

// fold brings a sum down to 16 bits, in the byte order of sum.
func fold(acc uint64) uint16 {
	acc = acc>>32 + acc&0xffffffff
	acc = acc>>32 + acc&0xffffffff
	acc = acc>>16 + acc&0xffff
	acc = acc>>16 + acc&0xffff
	return uint16(acc)
}

// pseudo sums the UDP pseudo header (RFC 768): both addresses out of the IP
// header ip, the protocol, and the UDP length n.
func pseudo(ip []byte, n int) uint64 {
	words := le64(ip[12:20])
	return words>>32 + words&0xffffffff + protoUDP<<8 + length(n)
}

// length is a length field of n as sum reads it.
func length(n int) uint64 { return uint64(n>>8&0xff) | uint64(n&0xff)<<8 }

// le64, le32 and be16 stand in for encoding/binary, which would bring reflect along.
// The compiler makes one load of each.
func le64(b []byte) uint64 {
	_ = b[7]
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
		uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
}

func le32(b []byte) uint32 {
	_ = b[3]
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}

func be16(b []byte) uint16 { return uint16(b[1]) | uint16(b[0])<<8 }

func putBE16(b []byte, v uint16) { b[0], b[1] = byte(v>>8), byte(v) }

func putLE16(b []byte, v uint16) { b[0], b[1] = byte(v), byte(v>>8) }
