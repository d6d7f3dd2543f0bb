package snmp

import (
	"testing"

	"github.com/clusto/clusto-engine/fuzz/corpus"
)

func recorded(tb testing.TB) (payloads [][]byte) { return corpus.Traps(tb) }

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
