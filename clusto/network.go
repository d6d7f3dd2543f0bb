package clusto

import (
	"encoding/binary"
	"fmt"
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

// CheckProperty refuses a baseip or netmask of an IP manager that no range can be
// made with, whatever else is set. Any other value under key and subkey of an
// entity with that driver passes. The error wraps ErrInvalid.
func CheckProperty(driver, key, subkey string, v Value) error {
	if driver != "ipmanager" || subkey != "property" {
		return nil
	}
	text := strings.TrimSpace(v.Text())
	switch key {
	case "netmask":
		if _, ok := maskLength(text); !ok {
			return fmt.Errorf("%.40q is no netmask; want ones and then zeros, as in 255.255.255.0, or how many ones, as in 24: %w", text, ErrInvalid)
		}
	case "baseip":
		if ParseNetwork("", text, "", "") == nil {
			return fmt.Errorf("%.40q is no IPv4 address; want the first one of the network, as in 10.42.0.0: %w", text, ErrInvalid)
		}
	}
	return nil
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
