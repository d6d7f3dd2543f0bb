package snmp

// Version is the version of a message, as the protocol numbers it.
type Version uint8

// The versions that are read.
const (
	V1  Version = 0 // RFC 1157
	V2c Version = 1 // RFC 1901
)

// Message is a trap or an inform, parsed. It is reused from message to message;
// its fields are valid if Parse returned nil. Slices alias the message.
type Message struct {
	Version   Version
	Community []byte
	PDU       byte // TagTrapV1, TagTrapV2 or TagInform

	RequestID int32   // of TagTrapV2 and TagInform
	UpTime    uint32  // the sender's, in hundredths of a second
	AgentAddr [4]byte // of TagTrapV1: who the trap is of

	enterprise OID   // of TagTrapV1
	generic    int32 // of TagTrapV1
	specific   int32 // of TagTrapV1
	trapOID    OID   // of the others

	id    []byte // the request id's contents
	list  []byte // the variable bindings, encoded, without their sequence
	binds []byte // list without sysUpTime.0 and snmpTrapOID.0
}

// Parse reads a message, the whole payload of a datagram. It checks every value
// of every variable binding for its length, and names for their encoding. It
// returns one of this package's errors, and never allocates.
func (m *Message) Parse(b []byte) error {
	*m = Message{}
	r := reader{b: b}
	r.b, r.at = r.last(TagSequence), 0
	version, _ := r.integer()
	m.Version = Version(version)
	if r.err == nil && version != int32(V1) && version != int32(V2c) {
		return ErrVersion
	}
	m.Community = r.value(TagOctetString)
	if r.err != nil {
		return r.err
	}
	tag, from, to := tlv(r.b, r.at)
	pdu := reader{b: r.b[from:to:to]}
	switch {
	case from == 0:
		return fault(r.b, r.at)
	case to < len(r.b):
		return ErrTrailing
	case tag == TagTrapV1 && m.Version == V1:
		m.parseV1(&pdu)
	case (tag == TagTrapV2 || tag == TagInform) && m.Version == V2c:
		m.parseV2(&pdu)
	default:
		return ErrPDU
	}
	m.PDU = tag
	if pdu.err != nil { // VarBinds walks what was checked
		m.list, m.binds = nil, nil
	}
	return pdu.err
}

// parseV1 reads a Trap-PDU (RFC 1157 section 4.1.6).
func (m *Message) parseV1(r *reader) {
	m.enterprise = r.oid()
	if val := r.value(TagIPAddress); len(val) == len(m.AgentAddr) {
		m.AgentAddr = [4]byte(val)
	} else {
		r.fail(ErrAddress)
	}
	m.generic, _ = r.integer()
	m.specific, _ = r.integer()
	m.UpTime = r.ticks()
	m.list = r.last(TagSequence)
	m.binds = m.list
	r.fail(checkBinds(m.list))
}

// parseV2 reads an SNMPv2-Trap-PDU or InformRequest-PDU (RFC 3416 sections 3
// and 4.2.6). Error status and index mean nothing in them.
func (m *Message) parseV2(r *reader) {
	m.RequestID, m.id = r.integer()
	r.integer()
	r.integer()
	m.list = r.last(TagSequence)
	if r.err == nil {
		r.fail(m.parseHead())
	}
}

// parseHead reads the two variables that every notification begins with, and
// checks the others. The names of the two need no check of their own.
func (m *Message) parseHead() (err error) {
	up, trap, ok := head(m.list)
	if !ok {
		if err := checkBinds(m.list); err != nil {
			return err
		}
		return ErrTrapOID
	}
	if m.UpTime, err = unsigned(m.list[up.val:up.end]); err != nil {
		return err
	}
	m.trapOID, m.binds = OID(m.list[trap.val:trap.end:trap.end]), m.list[trap.end:]
	if err := checkOID(m.trapOID); err != nil {
		return err
	}
	return checkBinds(m.binds)
}

// head finds sysUpTime.0 and snmpTrapOID.0 at the beginning of b.
func head(b []byte) (up, trap bind, ok bool) {
	up, err := findBind(b, 0)
	if err != nil || string(b[up.name:up.tag]) != oidSysUpTime || b[up.tag] != TagTimeTicks {
		return up, trap, false
	}
	trap, err = findBind(b, up.end)
	return up, trap, err == nil && string(b[trap.name:trap.tag]) == oidSnmpTrapOID && b[trap.tag] == TagOID
}

// checkBinds walks the list of variable bindings once, so that later walks need
// not fail.
func checkBinds(b []byte) error {
	for at := 0; at < len(b); {
		p, err := findBind(b, at)
		if err != nil {
			return err
		}
		if err := checkOID(b[p.name:p.tag]); err != nil {
			return err
		}
		at = p.end
	}
	return nil
}

// bind says where the parts of a variable binding are: its name's contents, which
// the value's tag follows, and the value's contents, up to its end.
type bind struct{ name, tag, val, end int }

// findBind finds the variable binding that begins at b[at]. Nearly all are under
// 128 bytes long and all their lengths of one byte: those are found without a
// call. at is not beyond b.
func findBind(b []byte, at int) (bind, error) {
	if p := b[at:]; len(p) > 5 && p[0] == TagSequence && p[1] < 0x80 && p[2] == TagOID && p[3] < 0x80 {
		tag, end := 4+int(p[3]), 2+int(p[1])
		if end <= len(p) && tag+1 < end && p[tag+1] < 0x80 && tag+2+int(p[tag+1]) == end && p[tag]&0x1f != 0x1f {
			return bind{at + 4, at + tag, at + tag + 2, at + end}, nil
		}
	}
	return longBind(b, at)
}

func longBind(b []byte, at int) (bind, error) {
	tag, from, to := tlv(b, at)
	if from == 0 || tag != TagSequence {
		return bind{}, fault(b, at)
	}
	b = b[:to]
	tag, name, nameEnd := tlv(b, from)
	if name == 0 || tag != TagOID {
		return bind{}, fault(b, from)
	}
	_, val, end := tlv(b, nameEnd)
	switch {
	case val == 0:
		return bind{}, fault(b, nameEnd)
	case end < to:
		return bind{}, ErrTrailing
	}
	return bind{name, nameEnd, val, end}, nil
}

// IsTrap reports whether the message is the notification that a MIB registers
// below the OID whose encoding is the bytes of base, under 0 and n: in SNMPv2c
// its snmpTrapOID is base.0.n, in SNMPv1 its enterprise is base and n its
// specific trap (RFC 3584 section 3.1). n is under 128.
func (m *Message) IsTrap(base string, n uint8) bool {
	if m.PDU == TagTrapV1 {
		return m.generic == enterpriseSpecific && m.specific == int32(n) && m.enterprise.Is(base)
	}
	index, ok := m.trapOID.Below(base)
	return ok && len(index) == 2 && index[0] == 0 && index[1] == n
}

const enterpriseSpecific = 6 // generic-trap

// AppendTrapOID appends the notification's OID in dotted form, that of an
// SNMPv1 trap as RFC 3584 section 3.1 translates it. It is for logs.
func (m *Message) AppendTrapOID(dst []byte) []byte {
	switch {
	case m.PDU != TagTrapV1:
		return m.trapOID.AppendText(dst)
	case m.generic != enterpriseSpecific:
		dst = OID(oidSnmpTraps).AppendText(dst)
		return appendSub(dst, int64(m.generic)+1)
	}
	dst = append(m.enterprise.AppendText(dst), ".0"...)
	return appendSub(dst, int64(m.specific))
}

// VarBinds walks all variable bindings.
func (m *Message) VarBinds() VarBindIter { return VarBindIter{m.list} }

// Objects walks the variable bindings that belong to the notification itself:
// all but sysUpTime.0 and snmpTrapOID.0 at the beginning.
func (m *Message) Objects() VarBindIter { return VarBindIter{m.binds} }

// VarBind is one variable and its value. The slices alias the message.
type VarBind struct {
	Name  OID
	Tag   byte // of Value
	Value []byte
}

// Int gives the value of an INTEGER.
func (v VarBind) Int() (n int32, ok bool) {
	n, err := signed(v.Value)
	return n, err == nil && v.Tag == TagInteger
}

// Uint gives the value of a Gauge32 (Unsigned32), Counter32 or TimeTicks, and of
// an INTEGER that is not negative.
func (v VarBind) Uint() (n uint32, ok bool) {
	switch v.Tag {
	case TagInteger:
		i, ok := v.Int()
		return uint32(i), ok && i >= 0
	case TagGauge32, TagCounter32, TagTimeTicks:
		n, err := unsigned(v.Value)
		return n, err == nil
	}
	return 0, false
}

// VarBindIter walks variable bindings in their order.
type VarBindIter struct{ rest []byte }

// Next gives the next variable binding. ok is false at the end: Parse has
// checked all that come before.
func (it *VarBindIter) Next() (v VarBind, ok bool) {
	b := it.rest
	if len(b) == 0 {
		return VarBind{}, false
	}
	p, err := findBind(b, 0)
	if err != nil {
		it.rest = nil
		return VarBind{}, false
	}
	it.rest = b[p.end:]
	return VarBind{Name: OID(b[p.name:p.tag:p.tag]), Tag: b[p.tag], Value: b[p.val:p.end:p.end]}, true
}
