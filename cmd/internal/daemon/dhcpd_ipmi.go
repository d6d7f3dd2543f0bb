package daemon

import (
	"context"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/client"
	"github.com/clusto/clusto-engine/engine/dhcp"
)

// bootstrap is what dhcp.Server needs to store MACs in the inventory.
type bootstrap struct{ s *DHCPServer }

// BootServer implements dhcp.Bootstrap.
func (b bootstrap) BootServer(ctx context.Context, mac clusto.MAC) (dhcp.BootServer, error) {
	srv, err := b.s.client.BootServer(ctx, mac)
	return dhcp.BootServer(srv), err
}

// SetPortMAC implements dhcp.Bootstrap.
func (b bootstrap) SetPortMAC(ctx context.Context, was dhcp.BootServer, bmc bool, mac clusto.MAC) error {
	return b.s.client.SetPortMAC(ctx, client.BootServer(was), bmc, mac)
}

// Purge implements dhcp.Bootstrap.
func (b bootstrap) Purge(mac clusto.MAC) { b.s.hosts.Purge(mac) }

// adoption is what update_ipmi comes to.
func (s *DHCPServer) adoption() dhcp.AdoptConfig {
	if !s.cfg.UpdateIPMI {
		return dhcp.AdoptConfig{}
	}
	return dhcp.AdoptConfig{Inventory: bootstrap{s}, Classes: s.cfg.IPMIVendorClasses, Hosts: s.cfg.CacheSize}
}

func (s *DHCPServer) countAdoption(m figures) {
	stored, lost := s.server.Adoption()
	m.counter("stored_macs_total", stored)
	m.counter("lost_bootstrap_requests_total", lost)
}
