package corpus

import "slices"

// Options reads the options of a DHCP message in the plainest words, without the codec that
// is to be tested: those of the options field, then of file and sname as option 52 says
// (RFC 2132 section 9.3), parts of one joined in that order (RFC 3396 section 5). What is
// not there is nil. ok is false when an option is longer than its field, or option 52 is
// none of 1, 2 and 3.
func Options(msg []byte) (opts *[256][]byte, ok bool) {
	opts = new([256][]byte)
	if len(msg) < 240 || string(msg[236:240]) != "\x63\x82\x53\x63" {
		return opts, true // BOOTP (RFC 951 section 3)
	}
	if !options(opts, msg[240:], true) {
		return opts, false
	}
	where := opts[52]
	if where == nil {
		return opts, true
	}
	if len(where) != 1 || where[0] < 1 || where[0] > 3 {
		return opts, false
	}
	ok = where[0] == 2 || options(opts, msg[108:236], false)
	return opts, ok && (where[0] == 1 || options(opts, msg[44:108], false))
}

// options adds those of one field. A missing END is tolerated; option 52 has a meaning in
// the options field alone.
func options(to *[256][]byte, field []byte, overload bool) bool {
	at := 0
	for at < len(field) && field[at] != 255 {
		if field[at] == 0 {
			at++
			continue
		}
		if at+1 == len(field) || at+2+int(field[at+1]) > len(field) {
			return false
		}
		code, n := field[at], int(field[at+1])
		if code == 52 && overload && to[52] != nil {
			return false
		}
		if code != 52 || overload {
			to[code] = slices.Concat([]byte{}, to[code], field[at+2:at+2+n])
			if to[code] == nil {
				to[code] = []byte{} // it is there, of no bytes
			}
		}
		at += 2 + n
	}
	return true
}

// SubOption gives a sub-option of option 82 (RFC 3046 section 2.0): the first one of that
// code before one that is cut short.
func SubOption(agent []byte, code byte) (val []byte, ok bool) {
	for at := 0; at+1 < len(agent); {
		end := at + 2 + int(agent[at+1])
		if end > len(agent) {
			break
		}
		if agent[at] == code {
			return agent[at+2 : end], true
		}
		at = end
	}
	return nil, false
}

// What Fault finds.
const (
	Malformed = "malformed"
	NotForUs  = "not for us"
)

// Fault says why a message is no request that a server has to look at, in the order in
// which it finds out; "" if it has to. broadcasts are the broadcast addresses of the
// interface, which nobody has for his own.
func Fault(msg []byte, broadcasts ...[4]byte) string {
	switch {
	case len(msg) < 236, msg[0] != 1, msg[2] > 16: // RFC 2131 section 2: all fixed fields, BOOTREQUEST, chaddr has 16 bytes
		return Malformed
	case msg[1] != 1 || msg[2] != 6: // not of an Ethernet (RFC 1700)
		return NotForUs
	}
	opts, ok := Options(msg)
	if !ok {
		return Malformed
	}
	for code, n := range map[int]int{50: 4, 53: 1, 54: 4, 57: 2, 118: 4} { // RFC 2132 section 9, RFC 3011
		if opts[code] != nil && len(opts[code]) != n {
			return Malformed
		}
	}
	for _, at := range []int{12, 24} { // ciaddr, giaddr: RFC 1122 section 3.2.1.3
		ip := [4]byte(msg[at : at+4])
		if ip != [4]byte{} && (ip[0] == 0 || ip[0] == 127 || 224 <= ip[0] && ip[0] < 240 || ip == [4]byte{255, 255, 255, 255} || slices.Contains(broadcasts, ip)) {
			return Malformed
		}
	}
	if opts[53] == nil {
		return ""
	}
	switch opts[53][0] {
	case 0: // RFC 2132 section 9.6
		return Malformed
	case 1, 3, 4, 7, 8: // what clients send (RFC 2131 table 2)
		return ""
	}
	return NotForUs
}
