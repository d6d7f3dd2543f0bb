package httpd

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/clusto/clusto-engine/clusto"
)

// pingTime is how long the database may take to answer.
const pingTime = 5 * time.Second

// getReady is getVersion once the database has answered. However many ask, it
// is asked once: health needs no token and has no limit.
func (s *server) getReady(w http.ResponseWriter, r *http.Request) {
	answer := s.pings.DoChan("", func() (_ any, err error) {
		defer func() {
			if p := recover(); p != nil { // it would end the program here
				s.Log.Error("the database's health panicked", "panic", p)
				err = fmt.Errorf("ask the database: internal error: %w", clusto.ErrUnavailable)
			}
		}()
		ctx, cancel := context.WithTimeout(context.Background(), pingTime)
		defer cancel()
		return nil, s.Store.Ping(ctx)
	})
	select {
	case <-r.Context().Done():
	case a := <-answer:
		if a.Err != nil {
			s.failErr(w, r, a.Err)
			return
		}
		s.getVersion(w, r)
	}
}
