package storm

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/engine"
)

func TestContextEndsDo(t *testing.T) {
	srv := &server{policy: func(h *heard, out []answer) []answer {
		if h.mac[5]%2 == 0 {
			return out
		}
		return usual(h, out)
	}}
	bubble(t, srv, func(t *testing.T, a, _ *end) {
		c := fleet(100)
		s, err := New(Config{Conn: a}, c)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		began := time.Now()
		res, err := s.Do(ctx, DORA)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 5*time.Second || res.Done != 50 || res.Failed != 0 {
			t.Errorf("%v after %v: %+v", err, time.Since(began), res)
		}
		// The Storm is as good as new for the clients that the server answers.
		srv.conn.(*end).fate = func([]byte) []time.Duration { return nil }
		if res, err = s.Do(t.Context(), DORA); err != nil || res.Failed != 100 {
			t.Errorf("second Do: %v, %+v", err, res)
		}
		s.Close()
		if _, err = s.Do(t.Context(), DORA); !errors.Is(err, engine.ErrStopped) {
			t.Errorf("after Close: %v, want ErrStopped", err)
		}
	})
}

func TestStoppedConnEndsDo(t *testing.T) {
	srv := &server{policy: func(_ *heard, out []answer) []answer { return out }}
	bubble(t, srv, func(t *testing.T, a, _ *end) {
		time.AfterFunc(time.Second, a.Stop)
		began := time.Now()
		_, err := Run(t.Context(), Config{Conn: a}, fleet(5), DORA)
		if !errors.Is(err, engine.ErrStopped) || time.Since(began) != time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

func TestMisuse(t *testing.T) {
	a, _ := newWire()
	twins := fleet(2)
	twins[1].MAC = twins[0].MAC
	for name, run := range map[string]func() error{
		"no conn":      func() error { _, err := New(Config{}, nil); return err },
		"twins":        func() error { _, err := New(Config{Conn: a}, twins); return err },
		"long jitter":  func() error { _, err := New(Config{Conn: a, Jitter: 4 * time.Second}, nil); return err },
		"no verb":      func() error { _, err := Run(t.Context(), Config{Conn: a}, nil, 0); return err },
		"unknown verb": func() error { _, err := Run(t.Context(), Config{Conn: a}, nil, 1<<15); return err },
	} {
		if run() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// Nobody to serve is served at once.
func TestNoClients(t *testing.T) {
	a, _ := newWire()
	if res, err := Run(t.Context(), Config{Conn: a}, nil, DORA); err != nil || res.Done != 0 || res.Percentile(99) != 0 {
		t.Errorf("%v, %+v", err, res)
	}
}

func TestStateNames(t *testing.T) {
	seen := map[string]bool{}
	for s := range states + 1 {
		if n := s.String(); n == "" || seen[n] {
			t.Errorf("state %d is called %q", s, n)
		} else {
			seen[n] = true
		}
	}
}
