// Package macnotify reads the notifications of CISCO-MAC-NOTIFICATION-MIB: which
// MAC addresses a switch learnt or removed on which port, and which moved. It
// reads the caller's memory and does not allocate. Beside package snmp it
// imports only errors.
package macnotify

import (
	"errors"

	"github.com/clusto/clusto-engine/codec/snmp"
)

// What is wrong with a notification, never wrapped. The records before it stand.
var (
	ErrTail = errors.New("macnotify: a history message ends inside a record (11 bytes: operation, VLAN, MAC, port)")
	ErrType = errors.New("macnotify: a history message or an object of a move has not its type")
	ErrMove = errors.New("macnotify: a move lacks its MAC address or a port")
)

// The objects of the MIB, ciscoMacNotificationMIB being 1.3.6.1.4.1.9.9.215,
// encoded.
const (
	mib           = "\x2b\x06\x01\x04\x01\x09\x09\x81\x57"
	notifications = mib + "\x02"                 // what the notifications are registered below
	histMsg       = mib + "\x01\x01\x08\x01\x02" // cmnHistMacChangedMsg, OCTET STRING of 1 to 254 bytes
	moveMAC       = mib + "\x01\x03\x03\x00"     // cmnMACMoveAddress
	moveVLAN      = mib + "\x01\x03\x04\x00"     // cmnMACMoveVlanNumber
	moveFrom      = mib + "\x01\x03\x05\x00"     // cmnMACMoveFromPortId
	moveTo        = mib + "\x01\x03\x06\x00"     // cmnMACMoveToPortId
)

// Kind tells the notifications of the MIB apart.
type Kind uint8

// The kinds.
const (
	Other   Kind = iota // none of this MIB
	Changed             // cmnMacChangedNotification: walk Records
	Moved               // cmnMacMoveNotification: read Move
)

// KindOf gives the kind of a parsed message, SNMPv1's included.
func KindOf(m *snmp.Message) Kind {
	switch {
	case m.IsTrap(notifications, 1):
		return Changed
	case m.IsTrap(notifications, 2):
		return Moved
	}
	return Other
}

// Op is what happened to a MAC address.
type Op uint8

// The operations. A switch sends no others; records with others are given as
// they are.
const (
	Learnt  Op = 1
	Removed Op = 2
)

// Record is one MAC address that came to a port or went from it.
type Record struct {
	Op   Op
	VLAN uint16
	MAC  [6]byte
	Port uint16 // dot1dBasePort (RFC 4188)
}

const recordLen = 11

// Records walks the records of all history messages of a notification.
func Records(m *snmp.Message) Iter { return Iter{objects: m.Objects()} }

// RecordsOf walks the records of one history message (cmnHistMacChangedMsg): up
// to 23 of 11 bytes, and a byte 0 that ends them. The end may be missing, and
// what follows it is not looked at.
func RecordsOf(msg []byte) Iter { return Iter{rest: msg} }

// Iter walks records in their order.
type Iter struct {
	objects snmp.VarBindIter
	rest    []byte // of the message at hand
	err     error
}

// Next gives the next record. ok is false at the end.
func (it *Iter) Next() (r Record, ok bool) {
	for {
		if len(it.rest) > 0 && it.rest[0] != 0 {
			if len(it.rest) >= recordLen {
				break
			}
			it.err = ErrTail
		}
		if it.rest, ok = it.message(); !ok {
			return Record{}, false
		}
	}
	b := (*[recordLen]byte)(it.rest)
	it.rest = it.rest[recordLen:]
	return Record{
		Op: Op(b[0]), VLAN: be16(b[1], b[2]), MAC: [6]byte(b[3:9]), Port: be16(b[9], b[10]),
	}, true
}

// message gives the next history message among the objects.
func (it *Iter) message() ([]byte, bool) {
	for {
		v, ok := it.objects.Next()
		if !ok {
			return nil, false
		}
		if _, ok := v.Name.Below(histMsg); !ok {
			continue
		}
		if v.Tag != snmp.TagOctetString {
			it.err = ErrType
			continue
		}
		return v.Value, true
	}
}

// Err is the last thing that was wrong with a message, nil if nothing was.
func (it *Iter) Err() error { return it.err }

func be16(hi, lo byte) uint16 { return uint16(hi)<<8 | uint16(lo) }

// Move is a MAC address that a switch saw on another port than before.
type Move struct {
	MAC      [6]byte
	VLAN     uint16
	From, To uint16 // dot1dBasePort
}

// ReadMove reads a cmnMacMoveNotification. It returns ErrType or ErrMove.
func ReadMove(m *snmp.Message) (mv Move, err error) {
	const all = 1<<0 | 1<<1 | 1<<2
	have := 0
	for it := m.Objects(); ; {
		v, ok := it.Next()
		if !ok {
			break
		}
		good := true
		switch {
		case v.Name.Is(moveMAC):
			if good = v.Tag == snmp.TagOctetString && len(v.Value) == 6; good {
				mv.MAC = [6]byte(v.Value)
				have |= 1 << 0
			}
		case v.Name.Is(moveVLAN):
			mv.VLAN, good = short(v)
		case v.Name.Is(moveFrom):
			mv.From, good = short(v)
			have |= 1 << 1
		case v.Name.Is(moveTo):
			mv.To, good = short(v)
			have |= 1 << 2
		}
		if !good {
			return mv, ErrType
		}
	}
	if have != all {
		return mv, ErrMove
	}
	return mv, nil
}

func short(v snmp.VarBind) (uint16, bool) {
	n, ok := v.Uint()
	return uint16(n), ok && n < 1<<16
}
