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
	b, err := only(b, TagSequence)
	if err != nil {
		return err
	}
	val, b, err := want(b, TagInteger)
	if err != nil {
		return err
	}
	version, err := signed(val)
	if err != nil {
		return err
	}
	if m.Version = Version(version); version != int32(V1) && version != int32(V2c) {
		return ErrVersion
	}
	if m.Community, b, err = want(b, TagOctetString); err != nil {
		return err
	}
	tag, pdu, rest, err := next(b)
	switch {
	case err != nil:
		return err
	case len(rest) > 0:
		return ErrTrailing
	case tag == TagTrapV1 && m.Version == V1:
		m.PDU = tag
		return m.parseV1(pdu)
	case (tag == TagTrapV2 || tag == TagInform) && m.Version == V2c:
		m.PDU = tag
		return m.parseV2(pdu)
	}
	return ErrPDU
}

// parseV1 reads a Trap-PDU (RFC 1157 section 4.1.6).
func (m *Message) parseV1(b []byte) error {
	val, b, err := want(b, TagOID)
	if err != nil {
		return err
	}
	if err := checkOID(val); err != nil {
		return err
	}
	m.enterprise = val
	if val, b, err = want(b, TagIPAddress); err != nil {
		return err
	}
	if len(val) != 4 {
		return ErrAddress
	}
	m.AgentAddr = [4]byte(val)
	if m.generic, b, err = integer(b); err != nil {
		return err
	}
	if m.specific, b, err = integer(b); err != nil {
		return err
	}
	if val, b, err = want(b, TagTimeTicks); err != nil {
		return err
	}
	if m.UpTime, err = unsigned(val); err != nil {
		return err
	}
	if m.list, err = only(b, TagSequence); err != nil {
		return err
	}
	m.binds = m.list
	return m.checkBinds()
}

// parseV2 reads an SNMPv2-Trap-PDU or InformRequest-PDU (RFC 3416 sections 3
// and 4.2.6). Error status and index mean nothing in them.
func (m *Message) parseV2(b []byte) error {
	val, b, err := want(b, TagInteger)
	if err != nil {
		return err
	}
	if m.RequestID, err = signed(val); err != nil {
		return err
	}
	m.id = val
	for range 2 {
		if _, b, err = integer(b); err != nil {
			return err
		}
	}
	if m.list, err = only(b, TagSequence); err != nil {
		return err
	}
	m.binds = m.list
	if err := m.checkBinds(); err != nil {
		return err
	}
	return m.parseHead()
}

// parseHead reads the two variables that every notification begins with.
func (m *Message) parseHead() (err error) {
	it := m.VarBinds()
	up, _ := it.Next()
	trap, _ := it.Next()
	if !up.Name.Is(oidSysUpTime) || up.Tag != TagTimeTicks || !trap.Name.Is(oidSnmpTrapOID) || trap.Tag != TagOID {
		return ErrTrapOID
	}
	if m.UpTime, err = unsigned(up.Value); err != nil {
		return err
	}
	m.trapOID = trap.Value
	if err := checkOID(m.trapOID); err != nil {
		return err
	}
	m.binds = it.rest
	return nil
}

// checkBinds walks the list once, so that later walks need not fail.
func (m *Message) checkBinds() error {
	for b := m.list; len(b) > 0; {
		v, rest, err := varBind(b)
		if err != nil {
			return err
		}
		if err := checkOID(v.Name); err != nil {
			return err
		}
		b = rest
	}
	return nil
}

func integer(b []byte) (n int32, rest []byte, err error) {
	val, rest, err := want(b, TagInteger)
	if err != nil {
		return 0, nil, err
	}
	n, err = signed(val)
	return n, rest, err
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

// Next gives the next variable binding. ok is false at the end.
func (it *VarBindIter) Next() (v VarBind, ok bool) {
	if len(it.rest) == 0 {
		return VarBind{}, false
	}
	v, rest, err := varBind(it.rest)
	if err != nil { // Parse has checked them
		it.rest = nil
		return VarBind{}, false
	}
	it.rest = rest
	return v, true
}

func varBind(b []byte) (v VarBind, rest []byte, err error) {
	pair, rest, err := want(b, TagSequence)
	if err != nil {
		return v, nil, err
	}
	name, pair, err := want(pair, TagOID)
	if err != nil {
		return v, nil, err
	}
	v.Name = name
	var after []byte
	if v.Tag, v.Value, after, err = next(pair); err != nil {
		return v, nil, err
	}
	if len(after) > 0 {
		return v, nil, ErrTrailing
	}
	return v, rest, nil
}
