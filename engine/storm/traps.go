package storm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"time"

	"github.com/clusto/clusto-engine/codec/macnotify"
	"github.com/clusto/clusto-engine/codec/snmp"
)

// MaxRecords is how many records fit a history message of 254 bytes
// (CISCO-MAC-NOTIFICATION-MIB, cmnHistMacChangedMsg).
const MaxRecords = 23

// What a MAC notification is made of, encoded: 1.3.6.1.4.1.9.9.215 and below.
const (
	macMIB      = "\x2b\x06\x01\x04\x01\x09\x09\x81\x57"
	macHistMsg  = macMIB + "\x01\x01\x08\x01\x02" // cmnHistMacChangedMsg
	macHistTime = macMIB + "\x01\x01\x08\x01\x03" // cmnHistTimestamp
	macSpecific = 1                               // of an SNMPv1 trap
)

var (
	macEnterprise = snmp.OID(macMIB + "\x02")         // of an SNMPv1 trap
	macChanged    = snmp.OID(macMIB + "\x02\x00\x01") // cmnMacChangedNotification
)

// Notice is a cmnMacChangedNotification: which MACs a switch learnt or removed.
type Notice struct {
	Community []byte
	ID        int32              // request id; an SNMPv1 trap has none
	UpTime    uint32             // hundredths of a second
	Index     uint32             // of the entry in the switch's history; 1 is the first
	Records   []macnotify.Record // MaxRecords at most
}

// AppendTrap appends the payload of an SNMPv2c trap.
func (n *Notice) AppendTrap(dst []byte) []byte {
	var room [384]byte
	note := n.notification(room[:0])
	return snmp.AppendTrap(dst, &note)
}

// AppendInform appends the payload of an SNMPv2c inform.
func (n *Notice) AppendInform(dst []byte) []byte {
	var room [384]byte
	note := n.notification(room[:0])
	return snmp.AppendInform(dst, &note)
}

// AppendTrapV1 appends the payload of an SNMPv1 trap of the switch with that
// address.
func (n *Notice) AppendTrapV1(dst []byte, agent [4]byte) []byte {
	var room [384]byte
	note := n.notification(room[:0])
	note.TrapOID = macEnterprise
	return snmp.AppendTrapV1(dst, &note, agent, macSpecific)
}

// notification builds the objects in room.
func (n *Notice) notification(room []byte) snmp.Notification {
	var msg [11*MaxRecords + 1]byte
	var name [len(macHistMsg) + 5]byte
	var up [5]byte
	oid := func(object string) snmp.OID { return snmp.AppendSub(append(name[:0], object...), n.Index) }
	room = snmp.AppendVarBind(room, oid(macHistMsg), snmp.TagOctetString, appendRecords(msg[:0], n.Records))
	room = snmp.AppendVarBind(room, oid(macHistTime), snmp.TagTimeTicks, snmp.AppendUint(up[:0], n.UpTime))
	return snmp.Notification{
		Community: n.Community, RequestID: n.ID, UpTime: n.UpTime, TrapOID: macChanged, Objects: room,
	}
}

// appendRecords writes a history message: records of 11 bytes, big-endian, and a
// byte 0 that ends them.
func appendRecords(dst []byte, records []macnotify.Record) []byte {
	for _, r := range records {
		dst = append(dst, byte(r.Op), byte(r.VLAN>>8), byte(r.VLAN))
		dst = append(append(dst, r.MAC[:]...), byte(r.Port>>8), byte(r.Port))
	}
	return append(dst, 0)
}

// ErrNotAcknowledged says that nobody answered an inform.
var ErrNotAcknowledged = errors.New("storm: the inform was not acknowledged")

// Switch plays a switch that reports MACs over a UDP socket. It is for one
// goroutine at a time.
type Switch struct {
	Conn      net.Conn        // connected to UDP port 162 of the server
	Community string          // "public" if empty
	Schedule  []time.Duration // how long an inform waits after each transmission; 1s, 2s, 4s, 8s

	Sent   int // datagrams, those that were sent again included
	Resent int

	id    int32
	index uint32
	begun time.Time
	buf   [1500]byte
}

// Trap sends records as SNMPv2c traps, MaxRecords in each.
func (s *Switch) Trap(records ...macnotify.Record) error {
	return s.each(records, func(n *Notice) error { return s.send(n.AppendTrap(s.buf[:0])) })
}

// TrapV1 sends records as SNMPv1 traps.
func (s *Switch) TrapV1(records ...macnotify.Record) error {
	var agent [4]byte
	if a, ok := s.Conn.LocalAddr().(*net.UDPAddr); ok && a.IP.To4() != nil {
		agent = [4]byte(a.IP.To4())
	}
	return s.each(records, func(n *Notice) error { return s.send(n.AppendTrapV1(s.buf[:0], agent)) })
}

// Inform sends records as SNMPv2c informs, each until it is acknowledged or the
// schedule is over: then the error wraps ErrNotAcknowledged.
func (s *Switch) Inform(ctx context.Context, records ...macnotify.Record) error {
	return s.each(records, func(n *Notice) error { return s.inform(ctx, n) })
}

// each makes notices of records.
func (s *Switch) each(records []macnotify.Record, send func(*Notice) error) error {
	if s.begun.IsZero() {
		s.begun = time.Now()
	}
	community := s.Community
	if community == "" {
		community = "public"
	}
	for part := range slices.Chunk(records, MaxRecords) {
		s.id, s.index = s.id+1, s.index+1
		n := Notice{Community: []byte(community), ID: s.id, UpTime: uint32(time.Since(s.begun) / (10 * time.Millisecond)), Index: s.index, Records: part}
		if err := send(&n); err != nil {
			return err
		}
	}
	return nil
}

func (s *Switch) send(payload []byte) error {
	if _, err := s.Conn.Write(payload); err != nil {
		return fmt.Errorf("storm: send to %s: %w", s.Conn.RemoteAddr(), err)
	}
	s.Sent++
	return nil
}

func (s *Switch) inform(ctx context.Context, n *Notice) error {
	stop := context.AfterFunc(ctx, func() { _ = s.Conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	schedule := s.Schedule
	if len(schedule) == 0 {
		schedule = seconds(1, 2, 4, 8)
	}
	for i, wait := range schedule {
		if err := s.send(n.AppendInform(s.buf[:0])); err != nil {
			return err
		}
		if i > 0 {
			s.Resent++
		}
		if err := s.Conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
			return fmt.Errorf("storm: wait for %s: %w", s.Conn.RemoteAddr(), err)
		}
		err := s.acknowledged(ctx, n)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("storm: inform %d: %w", n.ID, context.Cause(ctx))
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return fmt.Errorf("storm: inform %d to %s: %w", n.ID, s.Conn.RemoteAddr(), err)
		}
	}
	return fmt.Errorf("%w: %d by %s, sent %d times", ErrNotAcknowledged, n.ID, s.Conn.RemoteAddr(), len(schedule))
}

// acknowledged reads until the Response to an inform is there.
func (s *Switch) acknowledged(ctx context.Context, n *Notice) error {
	for {
		if err := ctx.Err(); err != nil { // its deadline may have come before ours
			return err
		}
		size, err := s.Conn.Read(s.buf[:])
		if err != nil {
			return err
		}
		if id, ok := Acknowledged(s.buf[:size], n.Community); ok && id == n.ID {
			return nil
		}
	}
}

// Acknowledged gives the request id of the Response to an inform, if b is one. It
// alters b.
func Acknowledged(b, community []byte) (id int32, ok bool) {
	at := pduAt(b, len(community))
	if at < 0 || b[at] != snmp.TagResponse {
		return 0, false
	}
	b[at] = snmp.TagInform // a Response has an inform's form (RFC 3416 section 3)
	var m snmp.Message
	if m.Parse(b) != nil || !bytes.Equal(m.Community, community) {
		return 0, false
	}
	return m.RequestID, true
}

// pduAt finds the PDU's tag in an SNMPv2c message whose community has that
// length: behind the tag and length of the message, its version and community.
// It is -1 if b is too short.
func pduAt(b []byte, community int) int {
	at := 0
	for _, contents := range []int{0, 1, community} {
		if len(b) < at+2 {
			return -1
		}
		if at += 2; b[at-1] >= 0x80 { // the length is in so many bytes more
			at += int(b[at-1] & 0x7f)
		}
		at += contents
	}
	if at >= len(b) {
		return -1
	}
	return at
}
