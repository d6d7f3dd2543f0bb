// Package dhcp4 reads and writes DHCPv4 and BOOTP messages (RFC 2131, 2132,
// 951): a View over a received message, an Index of its options, and appenders
// that build one. It serves both directions, client's and server's. It reads
// and writes the caller's memory and does not allocate. It imports only errors,
// math/bits and strconv.
package dhcp4

import "errors"

// What is wrong with a message. They come as they are, never wrapped.
var (
	ErrShort     = errors.New("dhcp4: message shorter than its fixed fields (236 bytes)")
	ErrHLen      = errors.New("dhcp4: hlen is over 16, more than chaddr holds")
	ErrTruncated = errors.New("dhcp4: an option is longer than the field it is in")
	ErrOverload  = errors.New("dhcp4: option 52 is not one byte of 1, 2 or 3")
)

// Lengths in bytes.
const (
	FixedLen = 236 // op to file; what Parse asks for
	SNameLen = 64  // the sname field
	FileLen  = 128 // the file field

	cookieLen = 4
	sname     = 44 // offset of sname
	file      = sname + SNameLen
)

// View is a message as it was received. It aliases the memory that Parse was
// given. Only a View that Parse returned without error may be read.
type View struct {
	fixed *[FixedLen]byte
	vend  []byte
}

// Parse checks the fixed fields of a message (RFC 2131 section 2) and returns a
// view over it. b is the UDP payload: 236 bytes or more, network byte order.
// The view is invalid once b is reused. Parse checks lengths only, and the magic
// cookie may be missing: walk Options, or build an Index, before trusting any
// option. It returns ErrShort or ErrHLen, and never allocates.
func Parse(b []byte) (View, error) {
	if len(b) < FixedLen {
		return View{}, ErrShort
	}
	if int(b[2]) > 16 {
		return View{}, ErrHLen
	}
	return View{(*[FixedLen]byte)(b), b[FixedLen:]}, nil
}

// Op is OpRequest or OpReply, if the sender keeps to the RFC.
func (v View) Op() uint8 { return v.fixed[0] }

// HType is the hardware type (RFC 1700): 1 for Ethernet.
func (v View) HType() uint8 { return v.fixed[1] }

// HLen is the length of the hardware address in chaddr: 0 to 16 bytes.
func (v View) HLen() uint8 { return v.fixed[2] }

// Hops counts the relays that the message went through.
func (v View) Hops() uint8 { return v.fixed[3] }

// XID is the transaction id.
func (v View) XID() uint32 {
	return uint32(v.fixed[7]) | uint32(v.fixed[6])<<8 | uint32(v.fixed[5])<<16 | uint32(v.fixed[4])<<24
}

// Secs is for how many seconds the client has been trying.
func (v View) Secs() uint16 { return uint16(v.fixed[9]) | uint16(v.fixed[8])<<8 }

// Flags is the flags field, of which only FlagBroadcast is defined.
func (v View) Flags() uint16 { return uint16(v.fixed[11]) | uint16(v.fixed[10])<<8 }

// Broadcast says whether the client asks for a broadcast reply.
func (v View) Broadcast() bool { return v.Flags()&FlagBroadcast != 0 }

// CIAddr is the address that the client has and answers ARP for.
func (v View) CIAddr() [4]byte { return [4]byte(v.fixed[12:16]) }

// YIAddr is the address that the server gives.
func (v View) YIAddr() [4]byte { return [4]byte(v.fixed[16:20]) }

// SIAddr is the server to boot from next.
func (v View) SIAddr() [4]byte { return [4]byte(v.fixed[20:24]) }

// GIAddr is the relay that forwarded the message.
func (v View) GIAddr() [4]byte { return [4]byte(v.fixed[24:28]) }

// CHAddr is the whole chaddr field, of which HLen bytes hold.
func (v View) CHAddr() [16]byte { return [16]byte(v.fixed[28:44]) }

// MAC is the start of chaddr: the client's address if HType is 1 and HLen is 6.
func (v View) MAC() [6]byte { return [6]byte(v.fixed[28:34]) }

// SName is the whole sname field, 64 bytes: a name that ends at the first zero
// byte, or options if the message says so in option 52.
func (v View) SName() []byte { return v.fixed[sname:file:file] }

// File is the whole file field, 128 bytes: a name that ends at the first zero
// byte, or options if the message says so in option 52.
func (v View) File() []byte { return v.fixed[file:] }

// Vend is what follows the fixed fields: the magic cookie and the options, or
// what a BOOTP client makes of it (RFC 951 section 3); may be empty.
func (v View) Vend() []byte { return v.vend }

// HasCookie says whether options follow: whether Vend begins with the magic
// cookie 63 82 53 63 (RFC 2131 section 3).
func (v View) HasCookie() bool {
	return len(v.vend) >= cookieLen && [cookieLen]byte(v.vend) == cookie
}

// Options walks the options field, as far as the message reaches; file and
// sname are left to Index. Without a cookie there are none.
func (v View) Options() OptionIter { return OptionIter{rest: v.options()} }

func (v View) options() []byte {
	if !v.HasCookie() {
		return nil
	}
	return v.vend[cookieLen:]
}
