package snmp

import "strconv"

func appendSub(dst []byte, n int64) []byte {
	return strconv.AppendInt(append(dst, '.'), n, 10)
}

// AppendResponse appends the Response to an inform (RFC 3416 section 4.2.7): the
// inform's own version, community, request id and variable bindings, without an
// error. m must be an inform that Parse returned without error, and dst must not
// overlap it.
func AppendResponse(dst []byte, m *Message) []byte {
	return append(appendV2Head(dst, m.Community, TagResponse, m.id, len(m.list)), m.list...)
}

// Notification is what AppendTrap and AppendInform send.
type Notification struct {
	Community []byte
	RequestID int32
	UpTime    uint32 // hundredths of a second
	TrapOID   OID
	Objects   []byte // variable bindings, from AppendVarBind
}

// AppendTrap appends an SNMPv2c trap.
func AppendTrap(dst []byte, n *Notification) []byte { return appendNotification(dst, TagTrapV2, n) }

// AppendInform appends an SNMPv2c inform.
func AppendInform(dst []byte, n *Notification) []byte { return appendNotification(dst, TagInform, n) }

func appendNotification(dst []byte, tag byte, n *Notification) []byte {
	var id, up [5]byte
	idVal, upVal := appendSigned(id[:0], n.RequestID), appendUnsigned(up[:0], n.UpTime)
	head := bindLen(len(oidSysUpTime), len(upVal)) + bindLen(len(oidSnmpTrapOID), len(n.TrapOID))
	dst = appendV2Head(dst, n.Community, tag, idVal, head+len(n.Objects))
	dst = appendBind(dst, oidSysUpTime, TagTimeTicks, upVal)
	dst = appendBind(dst, oidSnmpTrapOID, TagOID, n.TrapOID)
	return append(dst, n.Objects...)
}

// AppendTrapV1 appends an SNMPv1 trap of an enterprise (RFC 1157 section 4.1.6),
// which is n.TrapOID; n.RequestID means nothing.
func AppendTrapV1(dst []byte, n *Notification, agent [4]byte, specific uint8) []byte {
	var up [5]byte
	upVal := appendUnsigned(up[:0], n.UpTime)
	pdu := tlvLen(len(n.TrapOID)) + tlvLen(4) + 2*tlvLen(1) + tlvLen(len(upVal)) + tlvLen(len(n.Objects))
	msg := tlvLen(1) + tlvLen(len(n.Community)) + tlvLen(pdu)
	dst = appendHead(dst, TagSequence, msg)
	dst = append(dst, TagInteger, 1, byte(V1))
	dst = append(appendHead(dst, TagOctetString, len(n.Community)), n.Community...)
	dst = appendHead(dst, TagTrapV1, pdu)
	dst = append(appendHead(dst, TagOID, len(n.TrapOID)), n.TrapOID...)
	dst = append(dst, TagIPAddress, 4, agent[0], agent[1], agent[2], agent[3])
	dst = append(dst, TagInteger, 1, enterpriseSpecific, TagInteger, 1, specific)
	dst = append(appendHead(dst, TagTimeTicks, len(upVal)), upVal...)
	return append(appendHead(dst, TagSequence, len(n.Objects)), n.Objects...)
}

// AppendVarBind appends one variable binding. val is the encoded contents of a
// value of type tag.
func AppendVarBind(dst []byte, name OID, tag byte, val []byte) []byte {
	dst = appendHead(dst, TagSequence, tlvLen(len(name))+tlvLen(len(val)))
	dst = append(appendHead(dst, TagOID, len(name)), name...)
	return append(appendHead(dst, tag, len(val)), val...)
}

// AppendInt appends the contents of an INTEGER.
func AppendInt(dst []byte, n int32) []byte { return appendSigned(dst, n) }

// AppendUint appends the contents of a Gauge32, Counter32 or TimeTicks.
func AppendUint(dst []byte, n uint32) []byte { return appendUnsigned(dst, n) }

// AppendSub appends one more sub-identifier to an OID's encoding.
func AppendSub(dst []byte, sub uint32) []byte {
	for shift := 28; shift > 0; shift -= 7 {
		if sub>>shift != 0 {
			dst = append(dst, byte(sub>>shift)|0x80)
		}
	}
	return append(dst, byte(sub&0x7f))
}

func appendBind(dst []byte, name string, tag byte, val []byte) []byte {
	dst = appendHead(dst, TagSequence, tlvLen(len(name))+tlvLen(len(val)))
	dst = append(appendHead(dst, TagOID, len(name)), name...)
	return append(appendHead(dst, tag, len(val)), val...)
}

func bindLen(name, val int) int { return tlvLen(tlvLen(name) + tlvLen(val)) }

// appendV2Head appends all of a message up to its variable bindings, which are
// list bytes long.
func appendV2Head(dst, community []byte, tag byte, id []byte, list int) []byte {
	pdu := tlvLen(len(id)) + 2*tlvLen(1) + tlvLen(list)
	msg := tlvLen(1) + tlvLen(len(community)) + tlvLen(pdu)
	dst = appendHead(dst, TagSequence, msg)
	dst = append(dst, TagInteger, 1, byte(V2c))
	dst = append(appendHead(dst, TagOctetString, len(community)), community...)
	dst = appendHead(dst, tag, pdu)
	dst = append(appendHead(dst, TagInteger, len(id)), id...)
	dst = append(dst, TagInteger, 1, 0, TagInteger, 1, 0)
	return appendHead(dst, TagSequence, list)
}

// appendHead appends a tag and a length in its shortest form.
func appendHead(dst []byte, tag byte, n int) []byte {
	switch {
	case n < 0x80:
		return append(dst, tag, byte(n))
	case n < 1<<8:
		return append(dst, tag, 0x81, byte(n))
	case n < 1<<16:
		return append(dst, tag, 0x82, byte(n>>8), byte(n))
	case n < 1<<24:
		return append(dst, tag, 0x83, byte(n>>16), byte(n>>8), byte(n))
	}
	return append(dst, tag, 0x84, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}

// tlvLen is the length of a value with tag and length, whose contents are n
// bytes long.
func tlvLen(n int) int {
	switch {
	case n < 0x80:
		return 2 + n
	case n < 1<<8:
		return 3 + n
	case n < 1<<16:
		return 4 + n
	case n < 1<<24:
		return 5 + n
	}
	return 6 + n
}

// appendSigned appends the shortest contents of an INTEGER.
func appendSigned(dst []byte, n int32) []byte {
	for shift := 24; shift > 0; shift -= 8 {
		if top := n >> (shift - 1); top != 0 && top != -1 {
			for ; shift >= 0; shift -= 8 {
				dst = append(dst, byte(n>>shift))
			}
			return dst
		}
	}
	return append(dst, byte(n))
}

// appendUnsigned appends the shortest contents of an unsigned integer: with a
// zero byte before a set first bit.
func appendUnsigned(dst []byte, n uint32) []byte {
	if n>>31 != 0 {
		dst = append(dst, 0)
	}
	for shift := 24; shift > 0; shift -= 8 {
		if n>>(shift-1) != 0 {
			dst = append(dst, byte(n>>shift))
		}
	}
	return append(dst, byte(n))
}
