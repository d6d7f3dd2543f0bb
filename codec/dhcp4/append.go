package dhcp4

var cookie = [cookieLen]byte{0x63, 0x82, 0x53, 0x63}

// Header is the fixed part of a message to send.
type Header struct {
	Op, HType, HLen, Hops          uint8
	XID                            uint32
	Secs, Flags                    uint16
	CIAddr, YIAddr, SIAddr, GIAddr [4]byte
	CHAddr                         [16]byte

	// SName and File are at most SNameLen and FileLen bytes, one less if the
	// reader needs the zero byte that RFC 2131 asks for after a name. They may
	// hold encoded options instead.
	SName, File string
}

// AppendHeader appends the fixed fields and the magic cookie, 240 bytes, and
// returns the extended slice; options come next. The caller checks the lengths
// of SName and File beforehand: one that is too long is left out, since part of
// a name is another name.
func AppendHeader(dst []byte, h *Header) []byte {
	dst = append(dst,
		h.Op, h.HType, h.HLen, h.Hops,
		byte(h.XID>>24), byte(h.XID>>16), byte(h.XID>>8), byte(h.XID),
		byte(h.Secs>>8), byte(h.Secs), byte(h.Flags>>8), byte(h.Flags),
	)
	dst = append(dst, h.CIAddr[:]...)
	dst = append(dst, h.YIAddr[:]...)
	dst = append(dst, h.SIAddr[:]...)
	dst = append(dst, h.GIAddr[:]...)
	dst = append(dst, h.CHAddr[:]...)
	dst = appendName(dst, h.SName, SNameLen)
	dst = appendName(dst, h.File, FileLen)
	return append(dst, cookie[:]...)
}

// appendName appends a field of exactly n bytes.
func appendName(dst []byte, name string, n int) []byte {
	start := len(dst)
	if len(name) <= n {
		dst = append(dst, name...)
	}
	return Pad(dst, start, n)
}

// AppendOption appends one option, split into 255-byte instances when val is
// longer (RFC 3396 section 5), and returns the extended slice. An empty val
// makes an option of length 0. code is neither OptPad nor OptEnd.
func AppendOption(dst []byte, code byte, val []byte) []byte {
	return appendSplit(dst, code, val)
}

// AppendOptionString is AppendOption of a string.
func AppendOptionString(dst []byte, code byte, val string) []byte {
	return appendSplit(dst, code, val)
}

func appendSplit[T []byte | string](dst []byte, code byte, val T) []byte {
	const most = 255
	for len(val) > most {
		dst = append(dst, code, most)
		dst = append(dst, val[:most]...)
		val = val[most:]
	}
	dst = append(dst, code, byte(len(val)))
	return append(dst, val...)
}

// AppendByte appends an option of one byte.
func AppendByte(dst []byte, code, b byte) []byte { return append(dst, code, 1, b) }

// AppendUint16 appends an option of two bytes, network byte order.
func AppendUint16(dst []byte, code byte, v uint16) []byte {
	return append(dst, code, 2, byte(v>>8), byte(v))
}

// AppendUint32 appends an option of four bytes, network byte order.
func AppendUint32(dst []byte, code byte, v uint32) []byte {
	return append(dst, code, 4, byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
}

// AppendAddr appends an option of one IPv4 address.
func AppendAddr(dst []byte, code byte, a [4]byte) []byte {
	return append(dst, code, 4, a[0], a[1], a[2], a[3])
}

// AppendEnd appends the End option, which closes a field of options.
func AppendEnd(dst []byte) []byte { return append(dst, OptEnd) }

var zeros [512]byte

// Pad appends zero bytes until dst has at least least of them from index start
// on: Pad(msg, 0, 300) makes the least message that old clients and relays take
// (RFC 951 section 3 and RFC 1542 section 2.1).
func Pad(dst []byte, start, least int) []byte {
	for {
		missing := least - (len(dst) - start)
		if missing <= 0 {
			return dst
		}
		dst = append(dst, zeros[:min(missing, len(zeros))]...)
	}
}
