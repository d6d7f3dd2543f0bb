package store

import (
	"encoding/binary"
	"net/netip"
)

// intShift is added to an address to store it as a signed number: the original
// subtracts 2147483648, so that it fits 32 bits everywhere.
const intShift = 1 << 31

// addrOf reads the int form of an address.
func addrOf(n int64) (netip.Addr, bool) {
	n += intShift
	if n <= 0 || n > 1<<32-1 {
		return netip.Addr{}, false
	}
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}), true
}

// intOf gives the int form of an IPv4 address.
func intOf(ip netip.Addr) int64 {
	b := ip.As4()
	return int64(binary.BigEndian.Uint32(b[:])) - intShift
}

// broadcast gives the last address of a range.
func broadcast(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().As4()
	host := ^uint32(0) >> p.Bits()
	if p.Bits() == 32 {
		host = 0
	}
	binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(b[:])|host)
	return netip.AddrFrom4(b)
}
