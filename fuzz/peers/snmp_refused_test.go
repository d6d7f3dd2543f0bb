package peers

import (
	"cmp"
	"math/big"

	"github.com/clusto/clusto-engine/codec/snmp"
)

// refused reads a message in the plainest words and the order in which it stands there. Of one that
// gosnmp takes it gives the error of the first form in it that we refuse on purpose; of another an
// error where there is one. nil is of what we have to take.
func refused(b []byte) error {
	all := reading{rest: b}
	m := reading{rest: all.last(snmp.TagSequence)}
	version := m.next(snmp.TagInteger)
	m.check(bits32(version))
	if v := number(version); m.err == nil && (v.Sign() < 0 || v.BitLen() > 1) {
		return snmp.ErrVersion // 0 and 1 alone (RFC 1157 section 4, RFC 1901 section 3); gosnmp looks at the last byte
	}
	m.next(snmp.TagOctetString)
	if err := cmp.Or(all.err, m.err); err != nil {
		return err
	}
	if len(m.rest) == 0 {
		return snmp.ErrTruncated
	}
	pdu := m.rest[0]
	r := reading{rest: m.last(pdu)}
	switch v1 := number(version).Sign() == 0; {
	case m.err != nil:
		return m.err
	case v1 && pdu == snmp.TagTrapV1:
		return r.trapV1()
	case !v1 && (pdu == snmp.TagTrapV2 || pdu == snmp.TagInform):
		return r.notification()
	}
	return snmp.ErrPDU // a trap in version 1, a trap or an inform in 2c (RFC 1157 section 4.1.6, RFC 3416 section 4.2)
}

// trapV1 reads a Trap-PDU (RFC 1157 section 4.1.6).
func (r *reading) trapV1() error {
	r.check(padded(r.next(snmp.TagOID)))
	if len(r.next(snmp.TagIPAddress)) != 4 {
		r.check(snmp.ErrAddress) // four bytes (RFC 2578 section 7.1.5); gosnmp takes none for no address
	}
	r.check(bits32(r.next(snmp.TagInteger)))
	r.check(bits32(r.next(snmp.TagInteger)))
	r.check(bits32Unsigned(r.next(snmp.TagTimeTicks)))
	list := reading{rest: r.last(snmp.TagSequence)}
	_, err := list.variables()
	return cmp.Or(r.err, err)
}

// notification reads an SNMPv2-Trap-PDU or InformRequest-PDU.
func (r *reading) notification() error {
	for range 3 { // request-id, error-status, error-index
		r.check(bits32(r.next(snmp.TagInteger)))
	}
	list := reading{rest: r.last(snmp.TagSequence)}
	if r.err != nil {
		return r.err
	}
	const upTime, trapOID = "\x2b\x06\x01\x02\x01\x01\x03\x00", "\x2b\x06\x01\x06\x03\x01\x01\x04\x01\x00"
	all, err := list.variables()
	if len(all) < 2 || !all[0].is(upTime, snmp.TagTimeTicks) || !all[1].is(trapOID, snmp.TagOID) {
		return cmp.Or(err, snmp.ErrTrapOID) // these two first (RFC 3416 section 4.2.6), of their own types (RFC 3418 section 2)
	}
	return cmp.Or(bits32Unsigned(all[0].Value), padded(all[1].Value), err)
}

// reading is where one is among the values of a sequence. err is the first form that we refuse;
// what comes behind it is empty.
type reading struct {
	rest []byte
	err  error
}

// next gives the contents of the next value, which should have the given tag.
func (r *reading) next(tag byte) []byte {
	if r.err != nil {
		return nil
	}
	b := r.rest
	switch {
	case len(b) < 2:
		r.err = snmp.ErrTruncated // every value has a length (X.690 section 8.1.1); gosnmp takes a lone tag for one of no bytes
		return nil
	case b[0]&0x1f == 0x1f:
		r.err = snmp.ErrTag // tags of one byte alone (X.690 section 8.1.2): there are no others in RFC 3416 section 3
		return nil
	}
	n, head := int(b[1]), 2
	if n > 0x84 {
		r.err = snmp.ErrLength // lengths of four bytes at most: a datagram has 65,535 (RFC 3417 section 3); X.690 section 8.1.3.5 allows for 126
		return nil
	}
	if n >= 0x80 {
		if head += n & 0x7f; head > len(b) {
			r.err = snmp.ErrTruncated
			return nil
		}
		n = int(number(append([]byte{0}, b[2:head]...)).Int64())
	}
	switch {
	case head+n == len(b)+1 && b[0] == snmp.TagOctetString:
		r.err = snmp.ErrTruncated // all of a value is in its sequence (X.690 section 8.9.2); gosnmp takes an OCTET STRING that says one byte more
	case b[0] != tag:
		r.err = snmp.ErrTag // of the type that belongs there (RFC 1157 section 4, RFC 3416 section 3); gosnmp takes others for a field that is not set
	case head+n > len(b):
		r.err = snmp.ErrTruncated
	default:
		r.rest = b[head+n:]
		return b[head : head+n]
	}
	return nil
}

// last gives the contents of the last value.
func (r *reading) last(tag byte) []byte {
	val := r.next(tag)
	if r.err == nil && len(r.rest) > 0 {
		r.err = snmp.ErrTrailing // no form of them is one that gosnmp takes
	}
	return val
}

func (r *reading) check(err error) { r.err = cmp.Or(r.err, err) }

// variable is a variable binding. Its name is as it is encoded.
type variable snmp.VarBind

func (v variable) is(name string, tag byte) bool { return string(v.Name) == name && v.Tag == tag }

// variables gives all variable bindings before the first one that we refuse.
func (r *reading) variables() (all []variable, err error) {
	for len(r.rest) > 0 {
		b := reading{rest: r.next(snmp.TagSequence)}
		v := variable{Name: b.next(snmp.TagOID)}
		if b.err == nil && len(b.rest) > 0 {
			v.Tag = b.rest[0] // of any type
		}
		v.Value = b.last(v.Tag)
		if b.check(padded(v.Name)); r.err != nil || b.err != nil {
			return all, cmp.Or(r.err, b.err)
		}
		all = append(all, v)
	}
	return all, nil
}

// number reads an INTEGER of any length (X.690 section 8.3.3).
func number(val []byte) *big.Int {
	n := new(big.Int).SetBytes(val)
	if len(val) > 0 && val[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(val))))
	}
	return n
}

// fits reports whether a number is one of 32 bits.
func fits(n *big.Int) bool { return n.IsInt64() && n.Int64() == int64(int32(n.Int64())) }

// bits32: an INTEGER has 32 bits (RFC 2578 section 7.1.1); gosnmp takes 64.
func bits32(val []byte) error {
	if len(val) == 0 || len(val) > 8 || !fits(number(val)) { // one byte at least (X.690 section 8.3.1)
		return snmp.ErrInteger
	}
	return nil
}

// bits32Unsigned: TimeTicks have 32 bits (RFC 2578 section 7.1.8), and one byte at least (X.690
// section 8.3.1); gosnmp takes 64, and none for zero.
func bits32Unsigned(val []byte) error {
	if len(val) == 0 || new(big.Int).SetBytes(val).BitLen() > 32 {
		return snmp.ErrInteger
	}
	return nil
}

// padded: an OID has a sub-identifier, and none begins with zeros (X.690 section 8.19.2); gosnmp
// takes no bytes for 0.0, and zeros for nothing.
func padded(oid []byte) error {
	if len(oid) == 0 || !whole(oid) {
		return snmp.ErrOID
	}
	for i, c := range oid {
		if c == 0x80 && (i == 0 || oid[i-1]&0x80 == 0) {
			return snmp.ErrOID
		}
	}
	return nil
}
