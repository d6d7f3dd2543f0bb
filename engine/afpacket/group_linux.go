package afpacket

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/clusto/clusto-engine/engine"
)

// Group is the sockets of one interface, and what watches over it.
type Group struct {
	cfg    Config
	link   atomic.Pointer[engine.Link] // nil until the interface was there once
	conns  []*conn
	sender atomic.Pointer[socket]

	handle  *netlink.Handle
	events  *nl.NetlinkSocket
	changes chan time.Duration // something happened, look after that time
	done    chan struct{}
	watched sync.WaitGroup
	closing sync.Once

	mu      sync.Mutex // guards what follows
	sockets []*socket
	missing bool   // said so in the log
	failed  string // the last error that was logged
	dirty   bool   // the Link may be out of date

	deaf                               atomic.Bool // the kernel's notices do not come any more
	received, dropped, skipped, opened atomic.Uint64
	buffer                             atomic.Int64
}

// Open listens on an interface. One that is not there is no error: the Group
// waits for it, and says so in the log. Close has to be called in the end.
func Open(cfg Config) (*Group, error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	g := &Group{cfg: cfg, changes: make(chan time.Duration, 1), done: make(chan struct{})}
	for range cfg.Workers {
		g.conns = append(g.conns, newConn(g))
	}
	if err := cfg.In(g.listenToKernel); err != nil {
		return nil, fmt.Errorf("watch interface %s: %w", cfg.Interface, err)
	}
	if err := g.refresh(true); err != nil && !g.mayHeal(err) {
		g.shut()
		g.handle.Close()
		g.events.Close()
		return nil, err
	}
	g.watched.Go(g.hear)
	g.watched.Go(g.watch)
	return g, nil
}

// mayHeal logs an error that can be waited out: old kernels refuse a fanout
// while the link is down.
func (g *Group) mayHeal(err error) bool {
	l := g.link.Load()
	if l == nil || l.Up || errors.Is(err, fs.ErrPermission) {
		return false
	}
	g.complain(err)
	return true
}

func (g *Group) listenToKernel() (err error) {
	if g.handle, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return err
	}
	g.events, err = nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR,
		unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_NEIGH)
	if err != nil {
		g.handle.Close()
	}
	return err
}

// Conn gives the end of worker i, from 0 on.
func (g *Group) Conn(i int) engine.Conn { return g.conns[i] }

// Workers is how many Conns there are.
func (g *Group) Workers() int { return len(g.conns) }

// Link is the interface as it is now; nil as long as it has never been there.
func (g *Group) Link() *engine.Link { return g.link.Load() }

// Name is the interface's name.
func (g *Group) Name() string { return g.cfg.Interface }

// SendOn sends one frame. It implements dhcp.Sender for a program with one
// interface; many goroutines may call it.
func (g *Group) SendOn(_ *engine.Link, frame []byte) error {
	s := g.sender.Load()
	if s == nil {
		return ErrNoInterface
	}
	var err error
	werr := s.raw.Write(func(fd uintptr) bool {
		_, err = unix.Write(int(fd), frame)
		return !errors.Is(err, unix.EAGAIN)
	})
	if werr != nil {
		err = werr
	}
	if err != nil {
		return fmt.Errorf("send %d bytes on %s: %w", len(frame), g.cfg.Interface, err)
	}
	return nil
}

// Stats may be called at any time.
func (g *Group) Stats() Stats {
	g.mu.Lock()
	for _, s := range g.sockets {
		g.count(s.stats())
	}
	up := len(g.sockets) > 0 && g.link.Load().Up
	g.mu.Unlock()
	return Stats{
		Received: g.received.Load(), Dropped: g.dropped.Load(), Skipped: g.skipped.Load(),
		Opened: g.opened.Load(), Buffer: int(g.buffer.Load()), Up: up,
	}
}

func (g *Group) count(received, dropped uint64) {
	g.received.Add(received)
	g.dropped.Add(dropped)
}

// Close stops all Conns and closes the sockets.
func (g *Group) Close() {
	g.closing.Do(func() {
		for _, c := range g.conns {
			c.Stop()
		}
		close(g.done)
		g.events.Close()
		g.watched.Wait()
		g.shut()
		g.handle.Close()
	})
}

// shut closes the sockets.
func (g *Group) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.drop()
}

func (g *Group) drop() {
	for _, s := range g.sockets {
		g.count(s.close())
	}
	g.sockets = nil
	if s := g.sender.Swap(nil); s != nil {
		s.close()
	}
}

// soon has the watcher look at the interface, after a while.
func (g *Group) soon(d time.Duration) {
	select {
	case g.changes <- d:
	default: // it has something to look at already
	}
}

// hear tells the watcher of the kernel's notices. Neighbours come and go all
// the time: they wait a little, so that many make one look.
func (g *Group) hear() {
	for {
		msgs, _, err := g.events.Receive()
		select {
		case <-g.done:
			return
		default:
		}
		delay := 100 * time.Millisecond
		for _, m := range msgs {
			if m.Header.Type != unix.RTM_NEWNEIGH && m.Header.Type != unix.RTM_DELNEIGH {
				delay = 0
			}
		}
		if err != nil && !errors.Is(err, unix.ENOBUFS) { // lost notices count as one
			g.deaf.Store(true)
			return
		}
		g.soon(delay)
	}
}

// watch keeps sockets and Link true to the interface.
func (g *Group) watch() {
	tick := time.NewTicker(g.cfg.Poll)
	defer tick.Stop()
	for {
		select {
		case <-g.done:
			return
		case <-tick.C:
			g.check(g.deaf.Load())
			continue
		case d := <-g.changes:
			if d > 0 {
				select {
				case <-g.done:
					return
				case <-time.After(d):
				}
			}
		}
		g.check(true)
	}
}

func (g *Group) check(all bool) {
	if err := g.refresh(all); err != nil {
		g.complain(err)
	}
}

// complain logs an error once, however often it comes in a row.
func (g *Group) complain(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err.Error() != g.failed {
		g.cfg.Log.Error("the interface cannot be listened on; trying again", "interface", g.cfg.Interface, "error", err)
	}
	g.failed = err.Error()
}

// refresh looks at the interface: it opens what can be opened, closes what has
// gone, and publishes the Link if all is set or the last one is out of date. A
// missing interface is no error.
func (g *Group) refresh(all bool) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dirty = g.dirty || all
	attrs, err := g.find()
	if err != nil {
		return err
	}
	if g.stale(attrs) {
		g.cfg.Log.Warn("the interface is gone; waiting for it", "interface", g.cfg.Interface)
		g.drop()
		g.missing = true
		g.down()
	}
	if attrs == nil {
		if !g.missing {
			g.cfg.Log.Warn("the interface is not there yet; waiting for it", "interface", g.cfg.Interface)
		}
		g.missing = true
		return nil
	}
	if g.dirty || len(g.sockets) == 0 {
		if err := g.publish(attrs); err != nil {
			return err
		}
		g.dirty = false
	}
	if len(g.sockets) > 0 {
		return nil
	}
	return g.open(attrs)
}

// find gives the interface; nil if there is none of that name.
func (g *Group) find() (*netlink.LinkAttrs, error) {
	l, err := g.handle.LinkByName(g.cfg.Interface)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look up interface %s: %w", g.cfg.Interface, err)
	}
	return l.Attrs(), nil
}

// stale reports whether the sockets belong to an interface that has gone.
func (g *Group) stale(attrs *netlink.LinkAttrs) bool {
	if len(g.sockets) == 0 {
		return false
	}
	if attrs == nil || attrs.Index != g.sockets[0].index {
		return true
	}
	for _, s := range g.sockets {
		if s.lost() {
			return true
		}
	}
	return false
}

func (g *Group) down() {
	if old := g.link.Load(); old != nil {
		l := *old
		l.Up = false
		g.link.Store(&l)
	}
}

// open opens all sockets and hands them to the Conns.
func (g *Group) open(attrs *netlink.LinkAttrs) error {
	ifi := &net.Interface{Index: attrs.Index, Name: attrs.Name, HardwareAddr: attrs.HardwareAddr}
	var sockets []*socket
	var sender *socket
	err := g.cfg.In(func() (err error) {
		var id uint16
		for range g.conns {
			var s *socket
			if s, id, err = openSocket(&g.cfg, ifi, id); err != nil {
				return err
			}
			sockets = append(sockets, s)
		}
		sender, err = openSender(ifi)
		return err
	})
	if err != nil {
		for _, s := range sockets {
			s.close()
		}
		return err
	}
	g.sockets, g.failed, g.missing = sockets, "", false
	g.sender.Store(sender)
	g.opened.Add(1)
	g.buffer.Store(int64(sockets[0].buffer))
	for i, c := range g.conns {
		c.use(sockets[i])
	}
	g.cfg.Log.Info("listening on interface", "interface", attrs.Name, "mac", attrs.HardwareAddr.String(),
		"workers", len(g.conns), "receive_buffer", sockets[0].buffer, "addresses", fmt.Sprint(g.link.Load().Addrs))
	if sockets[0].buffer < g.cfg.Buffer {
		g.cfg.Log.Warn("the kernel grants less receive buffer than asked for; raise net.core.rmem_max",
			"interface", attrs.Name, "asked", g.cfg.Buffer, "granted", sockets[0].buffer)
	}
	return nil
}
