package storm

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/codec/frame"
)

// Each verb sends what RFC 2131 says, and ends in its state.
func TestVerbs(t *testing.T) {
	for _, tc := range []struct {
		verb  Verb
		want  heard // what the server has to hear, xid and time aside
		state State
		acks  int
	}{
		{InitReboot, heard{kind: dhcp4.Request, requested: [4]byte{10, 0, 0, 1}, broadcast: true}, Bound, 1},
		{Renew, heard{kind: dhcp4.Request, ciaddr: [4]byte{10, 0, 0, 1}, unicast: true, broadcast: true}, Bound, 1},
		{Rebind, heard{kind: dhcp4.Request, ciaddr: [4]byte{10, 0, 0, 1}, broadcast: true}, Bound, 1},
		{Inform, heard{kind: dhcp4.Inform, ciaddr: [4]byte{10, 0, 0, 1}, broadcast: true}, Informed, 1},
		{Decline, heard{kind: dhcp4.Decline, requested: [4]byte{10, 0, 0, 1}, server: serverAddr}, Declined, 0},
		{Release, heard{kind: dhcp4.Release, ciaddr: [4]byte{10, 0, 0, 1}, server: serverAddr, unicast: true}, Released, 0},
	} {
		t.Run(fmt.Sprint(tc.want.kind), func(t *testing.T) {
			srv := &server{}
			bubble(t, srv, func(t *testing.T, a, _ *end) {
				c := fleet(1)
				c[0].Broadcast = true
				s, err := New(Config{Conn: a}, c)
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				if res, err := s.Do(t.Context(), DORA); err != nil || res.Done != 1 {
					t.Fatal(res, err)
				}
				res, err := s.Do(t.Context(), tc.verb)
				if err != nil || res.Done != 1 || res.Sent != 1 || res.Acks != tc.acks {
					t.Errorf("%v, %+v", err, res)
				}
				synctest.Wait()
				all := srv.all()
				got := all[len(all)-1]
				if got.xid == all[0].xid {
					t.Error("the xid is that of the DISCOVER")
				}
				tc.want.mac = c[0].MAC
				if got.xid, got.at = 0, (time.Time{}); got != tc.want {
					t.Errorf("the server heard\n%+v, want\n%+v", got, tc.want)
				}
				if c[0].State != tc.state || c[0].Addr != [4]byte{10, 0, 0, 1} {
					t.Errorf("%+v", c[0])
				}
			})
		})
	}
}

// All verbs in one run, for many clients at once, in the order of the constants.
func TestAllVerbsInOneRun(t *testing.T) {
	srv := &server{}
	bubble(t, srv, func(t *testing.T, a, _ *end) {
		c := fleet(100)
		res := mustRun(t, Config{Conn: a, Outstanding: 7}, c, verbsEnd-1)
		if res.Done != 100 || res.Sent != 800 || res.Offers != 100 || res.Acks != 500 {
			t.Errorf("%+v", res)
		}
		synctest.Wait()
		var got []dhcp4.MessageType
		for _, h := range srv.all() {
			if h.mac == c[42].MAC {
				got = append(got, h.kind)
			}
		}
		if s := fmt.Sprint(got); s != "[DISCOVER REQUEST REQUEST REQUEST REQUEST INFORM DECLINE RELEASE]" {
			t.Errorf("the server heard %v", s)
		}
	})
}

// Clients behind a relay send from its address with option 82, and hear what
// comes to the relay.
func TestRelayAndVLAN(t *testing.T) {
	srv := &server{}
	bubble(t, srv, func(t *testing.T, a, _ *end) {
		c := fleet(10)
		relay := &Relay{Addr: [4]byte{10, 9, 0, 1}, MAC: [6]byte{2, 7, 7, 7, 7, 7}, Server: serverAddr, ServerMAC: serverMAC, AgentInfo: []byte{1, 1, 'x'}}
		for i := range c {
			c[i].Relay = relay
			c[i].Tags, c[i].NTags = [2]frame.Tag{{TPID: 0x88a8, TCI: 100}, {TPID: 0x8100, TCI: 5}}, 2
		}
		res := mustRun(t, Config{Conn: a}, c, DORA|Rebind)
		checkBound(t, c)
		if res.Done != 10 {
			t.Errorf("%+v", res)
		}
		for _, h := range srv.all() {
			if h.giaddr != relay.Addr || !h.unicast {
				t.Errorf("%+v", h)
			}
		}
	})
}

// Verbs that need an address end at once where there is none.
func TestNoAddress(t *testing.T) {
	bubble(t, &server{}, func(t *testing.T, a, _ *end) {
		c := fleet(300)
		c[7].Addr = addrOf(c[7].MAC)
		res := mustRun(t, Config{Conn: a, Outstanding: 3}, c, InitReboot)
		if res.Failed != 299 || res.Done != 1 || res.Sent != 1 || c[0].State != NoAddress {
			t.Errorf("%v, %+v", c[0].State, res)
		}
	})
}
