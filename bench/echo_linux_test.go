package bench

import (
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"

	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/engine/afpacket"
)

// mirror sends each frame back to its sender, and looks at nothing else.
type mirror struct{}

func (mirror) Handle(dst []byte, p *engine.Packet) ([]byte, engine.Verdict) {
	dst = append(dst, p.Data...)
	copy(dst, p.Data[6:12])
	copy(dst[6:], p.Link.MAC[:])
	return dst, engine.Reply
}

// echo is a program that is as fast as a program on packet sockets can be: the
// same sockets and batches as clusto-dhcpd's, and no work.
func echo() error {
	g, err := afpacket.Open(afpacket.Config{Interface: "srv0", Ports: []uint16{67}})
	if err != nil {
		return err
	}
	defer g.Close()
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	go func() {
		<-end
		g.Conn(0).Stop()
	}()
	if _, err := os.Stdout.WriteString("ready\n"); err != nil {
		return err
	}
	return (&engine.Worker{Conn: g.Conn(0), Handler: mirror{}, Counter: new(engine.Counter)}).Run()
}

// startEcho runs the echo as a process of its own, as clusto-dhcpd is.
func startEcho(b *testing.B) (stop func()) {
	b.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), asEcho+"=1")
	out, err := cmd.StdoutPipe()
	must(b, err)
	_, stop = run(b, cmd)
	if _, err := out.Read(make([]byte, 16)); err != nil {
		b.Fatalf("the echo does not start: %v", err)
	}
	return stop
}
