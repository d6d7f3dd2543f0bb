package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"

	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/engine/afpacket"
)

// mirror is as fast as a server on packet sockets can be: the same sockets and
// batches as clusto-dhcpd's, and no work.
type mirror struct {
	Interface      string `short:"i" required:"" placeholder:"NAME" help:"Send back what comes in here."`
	OnDefaultRoute bool   `help:"Do so even if a default route leaves by the interface."`
}

func (m *mirror) run(ctx context.Context) error {
	g, err := afpacket.Open(afpacket.Config{Interface: m.Interface, Ports: []uint16{dhcp4.ServerPort}})
	if err != nil {
		return err
	}
	defer g.Close()
	w := wire{Interface: m.Interface, OnDefaultRoute: m.OnDefaultRoute}
	if err := w.permit(g); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, g.Conn(0).Stop)
	defer stop()
	if _, err := fmt.Fprintf(os.Stderr, "clusto-storm mirror: ready on %s\n", m.Interface); err != nil {
		return err
	}
	return (&engine.Worker{Conn: g.Conn(0), Handler: glass{}, Counter: new(engine.Counter)}).Run()
}

// glass sends each frame back to its sender, and looks at nothing else.
type glass struct{}

func (glass) Handle(dst []byte, p *engine.Packet) ([]byte, engine.Verdict) {
	dst = append(dst, p.Data[6:12]...) // the filter takes no frame without addresses
	dst = append(dst, p.Link.MAC[:]...)
	if p.TPID != 0 { // the kernel took the tag out
		dst = binary.BigEndian.AppendUint16(dst, p.TPID)
		dst = binary.BigEndian.AppendUint16(dst, p.TCI)
	}
	return append(dst, p.Data[12:]...), engine.Reply
}
