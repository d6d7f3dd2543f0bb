package snmp

import (
	"io"
	"os"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
)

// recorded gives the datagrams of testdata/traps.pcap, in their order: what
// net-snmp's tools and a raw socket sent to the original.
func recorded(tb testing.TB) (payloads [][]byte) {
	tb.Helper()
	f, err := os.Open("testdata/traps.pcap")
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	r, err := pcapgo.NewReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	for {
		data, _, err := r.ReadPacketData()
		if err == io.EOF {
			return payloads
		} else if err != nil {
			tb.Fatal(err)
		}
		udp, ok := gopacket.NewPacket(data, r.LinkType(), gopacket.Default).Layer(layers.LayerTypeUDP).(*layers.UDP)
		if !ok {
			tb.Fatalf("datagram %d is no UDP", len(payloads))
		}
		payloads = append(payloads, udp.Payload)
	}
}

// TestRecorded: what each kind of datagram in the capture is.
func TestRecorded(t *testing.T) {
	all := recorded(t)
	if len(all) != 49 {
		t.Fatalf("%d datagrams", len(all))
	}
	const base = "1.3.6.1.4.1.9.9.215.2.0.1"
	for i, b := range all {
		var m Message
		err := m.Parse(b)
		switch i {
		case 43, 44: // eight bytes of garbage, and nothing at all
			if want := map[int]error{43: ErrLength, 44: ErrTruncated}[i]; err != want {
				t.Errorf("%d: %v", i, err)
			}
			continue
		case 46: // a GetRequest
			if err != ErrPDU {
				t.Errorf("%d: %v", i, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%d: %v", i, err)
			continue
		}
		pdu, version, community := byte(TagTrapV2), V2c, "public"
		switch i {
		case 12:
			community = "wrong"
		case 13:
			pdu, version = TagTrapV1, V1
		case 14, 15: // an inform and its retransmission
			pdu = TagInform
		}
		if m.PDU != pdu || m.Version != version || string(m.Community) != community {
			t.Errorf("%d: PDU %#x, version %d, community %q", i, m.PDU, m.Version, m.Community)
		}
		if got := string(m.AppendTrapOID(nil)); got != base {
			t.Errorf("%d: trap %s", i, got)
		}
		if !m.IsTrap("\x2b\x06\x01\x04\x01\x09\x09\x81\x57\x02", 1) || m.IsTrap("\x2b\x06\x01\x04\x01\x09\x09\x81\x57\x02", 2) {
			t.Errorf("%d: IsTrap does not agree", i)
		}
	}
}
