package storm_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/engine/dhcp"
	"github.com/clusto/clusto-engine/engine/storm"
)

// hosts is an inventory in memory: all of it fresh.
type hosts map[clusto.MAC]*dhcp.Prepared

func (h hosts) Lookup(mac clusto.MAC, _ int64) (*dhcp.Prepared, dhcp.State) {
	if p, ok := h[mac]; ok {
		return p, dhcp.Fresh
	}
	return nil, dhcp.Absent
}

func (h hosts) PeekAll(to []*dhcp.Prepared, macs []clusto.MAC) []*dhcp.Prepared {
	for _, mac := range macs {
		if p, ok := h[mac]; ok {
			to = append(to, p)
		}
	}
	return to
}

func (h hosts) Fetch(_ context.Context, mac clusto.MAC) (*dhcp.Prepared, dhcp.State, error) {
	p, s := h.Lookup(mac, 0)
	return p, s, nil
}

func inventory(clients []storm.Client) hosts {
	h := hosts{}
	for i := range clients {
		ip := netip.AddrFrom4([4]byte{10, 42, byte(i >> 8), byte(i + 1)})
		net := &clusto.Network{Name: "net", Prefix: netip.MustParsePrefix("10.42.0.0/16")}
		mac := clusto.MAC(clients[i].MAC)
		h[mac], _ = dhcp.Prepare(&clusto.Host{
			MAC: mac, Entity: clusto.Entity{Name: fmt.Sprintf("s%04d", i), Type: "server"},
			Port: "port-nic-eth", Number: 1, Enabled: true,
			Addresses: []clusto.Address{{IP: ip, Network: net}},
		}, dhcp.PrepareConfig{})
	}
	return h
}

// policyConn serves the policy on the far end of a wire, and gives the near end.
func policyConn(t *testing.T, h hosts) engine.Conn {
	t.Helper()
	near, far := storm.NewWire(&engine.Link{
		Name: "eth0", Index: 2, MAC: [6]byte{2, 0xee}, MTU: 1500, Up: true,
		Addrs: []netip.Prefix{netip.MustParsePrefix("10.42.255.254/16")},
		Local: map[netip.Addr]struct{}{netip.MustParseAddr("10.42.255.254"): {}},
	})
	w := &engine.Worker{Conn: far, Handler: dhcp.NewServer(dhcp.Config{Hosts: h}).Handler(), Counter: new(engine.Counter)}
	done := make(chan error, 1)
	go func() { done <- w.Run() }()
	t.Cleanup(func() {
		far.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return near
}

// The project's own policy serves the clients through all that they can do.
func TestPolicy(t *testing.T) {
	clients := make([]storm.Client, 300)
	for i := range clients {
		clients[i].MAC = [6]byte{2, 0, 0, 0, byte(i >> 8), byte(i)}
		clients[i].Broadcast = i%3 == 0
	}
	conn := policyConn(t, inventory(clients))
	verbs := storm.DORA | storm.InitReboot | storm.Renew | storm.Rebind | storm.Inform | storm.Decline | storm.Release
	res, err := storm.Run(t.Context(), storm.Config{Conn: conn}, clients, verbs)
	if err != nil || res.Done != 300 || res.Acks != 1500 || res.Naks+res.Invalid+res.Stray != 0 {
		t.Errorf("%v, %+v", err, res)
	}
	for i, c := range clients {
		if want := [4]byte{10, 42, byte(i >> 8), byte(i + 1)}; c.Addr != want || c.Server != [4]byte{10, 42, 255, 254} {
			t.Fatalf("client %d: %+v", i, c)
		}
	}
}

// A machine that clusto does not know gets no answer, proven without waiting.
func TestPolicyIsSilentToStrangers(t *testing.T) {
	known, stranger := storm.Client{MAC: [6]byte{2, 1}}, storm.Client{MAC: [6]byte{2, 2}}
	p := storm.NewProbe(policyConn(t, inventory([]storm.Client{known})))
	defer p.Close()
	fence := storm.AppendFrame(nil, &known, &storm.Message{Type: dhcp4.Discover, XID: 1})
	silent := storm.AppendFrame(nil, &stranger, &storm.Message{Type: dhcp4.Discover, XID: 2})
	if err := p.ExpectSilence(t.Context(), silent, fence); err != nil {
		t.Error(err)
	}
}
