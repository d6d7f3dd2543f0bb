package storm

import (
	"context"
	"errors"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/codec/macnotify"
	"github.com/clusto/clusto-engine/codec/snmp"
)

func macs(n int) (out []macnotify.Record) {
	for i := range n {
		out = append(out, macnotify.Record{Op: macnotify.Learnt, VLAN: 42, MAC: [6]byte{0, 0x1e, 0xc9, 0, 10, byte(i)}, Port: uint16(i + 1)})
	}
	return out
}

// readNotice reads a notice with the codec that the daemon has.
func readNotice(t *testing.T, payload []byte) (m snmp.Message, records []macnotify.Record) {
	t.Helper()
	if err := m.Parse(payload); err != nil {
		t.Fatalf("%v: % x", err, payload)
	}
	if kind := macnotify.KindOf(&m); kind != macnotify.Changed {
		t.Errorf("kind %d", kind)
	}
	it := macnotify.Records(&m)
	for r, ok := it.Next(); ok; r, ok = it.Next() {
		records = append(records, r)
	}
	if err := it.Err(); err != nil {
		t.Error(err)
	}
	return m, records
}

func TestNotice(t *testing.T) {
	for _, count := range []int{0, 1, MaxRecords} {
		n := Notice{Community: []byte("site"), ID: -2, UpTime: 12345, Index: 70000, Records: macs(count)}
		for name, c := range map[string]struct {
			payload []byte
			pdu     byte
		}{
			"trap":   {n.AppendTrap(nil), snmp.TagTrapV2},
			"inform": {n.AppendInform(nil), snmp.TagInform},
			"v1":     {n.AppendTrapV1(nil, [4]byte{10, 0, 0, 1}), snmp.TagTrapV1},
		} {
			m, records := readNotice(t, c.payload)
			if m.PDU != c.pdu || string(m.Community) != "site" || m.UpTime != 12345 || c.pdu != snmp.TagTrapV1 && m.RequestID != -2 {
				t.Errorf("%s: %+v", name, m)
			}
			if !slices.Equal(records, n.Records) {
				t.Errorf("%s: records %v, want %v", name, records, n.Records)
			}
			if c.pdu == snmp.TagTrapV1 && m.AgentAddr != [4]byte{10, 0, 0, 1} {
				t.Errorf("agent %v", m.AgentAddr)
			}
		}
	}
}

func TestNoticeAllocs(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector miscounts allocations")
	}
	n := Notice{Community: []byte("public"), Records: macs(MaxRecords)}
	buf := make([]byte, 0, 1500)
	if got := testing.AllocsPerRun(100, func() { n.AppendTrap(buf); n.AppendInform(buf); n.AppendTrapV1(buf, [4]byte{}) }); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

// switchOn plays a switch to a socket of the test.
func switchOn(t *testing.T) (s *Switch, server *net.UDPConn) {
	t.Helper()
	server, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	conn, err := net.Dial("udp4", server.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &Switch{Conn: conn}, server
}

// respond answers what comes, but the first of each request id; it gives the
// ports that it heard of.
func respond(t *testing.T, server *net.UDPConn, deaf int) <-chan []uint16 {
	ports := make(chan []uint16, 1)
	go func() {
		var heard []uint16
		defer func() { ports <- heard }()
		seen := map[int32]int{}
		buf := make([]byte, 2048)
		for {
			n, from, err := server.ReadFromUDP(buf)
			if err != nil {
				return
			}
			m, records := readNotice(t, buf[:n])
			if seen[m.RequestID]++; seen[m.RequestID] <= deaf {
				continue
			}
			for _, r := range records {
				heard = append(heard, r.Port)
			}
			stale := Notice{Community: []byte("public"), ID: m.RequestID + 1000}
			other := stale.AppendInform(nil)
			other[pduAt(other, len("public"))] = snmp.TagResponse
			for _, b := range [][]byte{[]byte("nonsense"), other, snmp.AppendResponse(nil, &m)} {
				if _, err := server.WriteToUDP(b, from); err != nil {
					return
				}
			}
		}
	}()
	return ports
}

// TestSwitchInforms: what is not acknowledged is sent again, and the answer to
// something else acknowledges nothing.
func TestSwitchInforms(t *testing.T) {
	s, server := switchOn(t)
	s.Schedule = []time.Duration{10 * time.Millisecond, time.Minute}
	ports := respond(t, server, 1)
	if err := s.Inform(t.Context(), macs(30)...); err != nil {
		t.Fatal(err)
	}
	if s.Sent != 4 || s.Resent != 2 {
		t.Errorf("sent %d, again %d; want 4 and 2", s.Sent, s.Resent)
	}
	server.Close()
	if got := <-ports; len(got) != 30 || got[0] != 1 || got[29] != 30 {
		t.Errorf("ports %v", got)
	}
}

func TestSwitchUnheard(t *testing.T) {
	s, _ := switchOn(t)
	s.Schedule = []time.Duration{time.Millisecond, time.Millisecond}
	if err := s.Inform(t.Context(), macs(1)...); !errors.Is(err, ErrNotAcknowledged) || s.Sent != 2 {
		t.Errorf("%v after %d datagrams", err, s.Sent)
	}
	s.Schedule = []time.Duration{time.Hour}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Inform(ctx, macs(1)...); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

// TestAcknowledgedTakesAnything: whatever comes over the network is looked at.
func TestAcknowledgedTakesAnything(t *testing.T) {
	n := Notice{Community: []byte("public"), ID: 7, Records: macs(2)}
	whole := n.AppendInform(nil)
	if _, ok := Acknowledged(slices.Clone(whole), []byte("public")); ok {
		t.Error("an inform is no Response")
	}
	whole[pduAt(whole, 6)] = snmp.TagResponse
	if id, ok := Acknowledged(slices.Clone(whole), []byte("public")); !ok || id != 7 {
		t.Errorf("id %d, %v", id, ok)
	}
	if _, ok := Acknowledged(slices.Clone(whole), []byte("secret")); ok {
		t.Error("another community")
	}
	for i := range whole {
		Acknowledged(slices.Clone(whole[:i]), []byte("public"))
		broken := slices.Clone(whole)
		broken[i] ^= 0xff
		Acknowledged(broken, []byte("public"))
	}
}
