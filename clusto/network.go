package clusto

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"strconv"
	"strings"
)

// singleAddress is the netmask that the driver gives an IP manager without one.
const singleAddress = "255.255.255.255"

// ParseNetwork reads the properties of an IP manager. baseip may have the mask's
// length behind it, "10.0.0.0/24", which holds unless netmask is set to another
// than the driver's default. Without a usable range the result is nil; a gateway
// that is no IPv4 address is none.
func ParseNetwork(name, baseip, netmask, gateway string) *Network {
	base, length, hasLength := strings.Cut(baseip, "/")
	if hasLength && (netmask == "" || netmask == singleAddress) {
		netmask = length
	}
	ip, err := netip.ParseAddr(base)
	n, ok := maskLength(netmask)
	if err != nil || !ip.Is4() || !ok {
		return nil
	}
	nw := &Network{Name: name, Prefix: netip.PrefixFrom(ip, n).Masked()}
	if gw, err := netip.ParseAddr(gateway); err == nil && gw.Is4() {
		nw.Gateway = gw
	}
	return nw
}

// maskLength reads a netmask: "255.255.255.0", "24" or "/24". None at all is a
// single address.
func maskLength(s string) (int, bool) {
	if s == "" {
		return 32, true
	}
	if n, err := strconv.Atoi(strings.TrimPrefix(s, "/")); err == nil {
		return n, n >= 0 && n <= 32
	}
	ip, err := netip.ParseAddr(s)
	if err != nil || !ip.Is4() {
		return 0, false
	}
	b := ip.As4()
	mask := binary.BigEndian.Uint32(b[:])
	ones := bits.LeadingZeros32(^mask)
	return ones, mask<<ones == 0
}
