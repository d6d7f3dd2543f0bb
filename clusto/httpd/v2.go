package httpd

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/clusto/clusto-engine/clusto"
)

// routeV2 registers this project's own calls.
func (s *server) routeV2(mux *router) {
	s.callV2(mux, "GET /v2/hosts/{mac}", s.getHost)
	s.callV2(mux, "GET /v2/hosts", s.getHosts)
	s.callV2(mux, "GET /v2/find", s.getFind, "q")
	s.callV2(mux, "GET /v2/networks", s.getNetworks)
	s.callV2(mux, "GET /v2/objects", s.getObjects)
	s.callV2(mux, "GET /v2/entities/{name}/attrs", s.getAttrsV2, "key", "merge", "hidden")
	s.callV2(mux, "POST /v2/batch", s.postBatch)
	s.callV2(mux, "GET /v2/version", s.getVersion)
	mux.HandleFunc("GET /readyz", s.getReady)
	mux.HandleFunc("/v2/", func(w http.ResponseWriter, r *http.Request) {
		if allowed := mux.methods(r); allowed != "" {
			w.Header().Set("Allow", allowed)
			s.fail(w, r, http.StatusMethodNotAllowed, r.URL.Path+" takes "+allowed+", and no "+r.Method)
			return
		}
		// Not 404: a client whose URL is wrong must not take its hosts for unknown.
		s.fail(w, r, http.StatusNotImplemented, "there is no call "+r.Method+" "+r.URL.Path+"; check the API URL")
	})
}

// getHost answers with a clusto.Host.
func (s *server) getHost(w http.ResponseWriter, r *http.Request) {
	mac, err := clusto.ParseMAC(r.PathValue("mac"))
	if err != nil {
		s.failErr(w, r, err)
		return
	}
	h, err := s.Store.Host(r.Context(), mac)
	if err != nil {
		s.failErr(w, r, err)
		return
	}
	s.answer(w, r, http.StatusOK, h)
}

// found is the answer of /v2/find.
type found struct {
	Hosts []clusto.Host `json:"hosts"`
}

func (s *server) getFind(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query().Get("q")
	if q == "" {
		s.fail(w, r, http.StatusBadRequest, "parameter q is missing: a name, MAC or IP address")
		return
	}
	hosts, err := s.Store.Find(r.Context(), q)
	if err != nil {
		s.failErr(w, r, err)
		return
	}
	s.answer(w, r, http.StatusOK, found{hosts})
}

// networks is the answer of /v2/networks.
type networks struct {
	Networks []clusto.Network `json:"networks"`
}

// getNetworks answers with the range of every IP manager that has one, by name.
func (s *server) getNetworks(w http.ResponseWriter, r *http.Request) {
	all, err := s.Store.Managers(r.Context())
	if err != nil {
		s.failErr(w, r, err)
		return
	}
	s.answer(w, r, http.StatusOK, networks{all})
}

// version tells clients who they talk to.
type version struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	API     int    `json:"api"`
}

func (s *server) getVersion(w http.ResponseWriter, r *http.Request) {
	s.answer(w, r, http.StatusOK, version{"clusto-httpd", s.Version, 2})
}

// answer writes a JSON value.
func (s *server) answer(w http.ResponseWriter, r *http.Request, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		s.failErr(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // a client that is gone needs no answer
}

// problem is the body of every error of /v2. NotFound marks a 404 that is the
// inventory's own word, which no proxy or other server can give by accident.
// Index is the operation of a batch that could not be applied.
type problem struct {
	Error    string `json:"error"`
	NotFound bool   `json:"not_found,omitempty"`
	Index    *int   `json:"index,omitempty"`
}

func (s *server) fail(w http.ResponseWriter, r *http.Request, status int, msg string) {
	s.answer(w, r, status, problem{Error: short(msg)})
}

func (s *server) failErr(w http.ResponseWriter, r *http.Request, err error) {
	err = because(r, err)
	st := status(err)
	s.logFailure(r, st, err)
	p := problem{Error: reason(r, err), NotFound: st == http.StatusNotFound}
	var op *clusto.OpError
	if errors.As(err, &op) {
		p.Error, p.Index = reason(r, op.Err), &op.Index
	}
	s.answer(w, r, st, p)
}

// chunk is how much of a stream is gathered before it is sent.
const chunk = 64 << 10

// chunkTimeout is how long a client may take to accept a chunk.
const chunkTimeout = 30 * time.Second

// getHosts streams all hosts, one JSON object a line.
func (s *server) getHosts(w http.ResponseWriter, r *http.Request) {
	s.streamLines(w, r, func(line func(any) error) error {
		return s.Store.Hosts(r.Context(), func(h *clusto.Host) error { return line(h) })
	})
}

// streamLines answers with one JSON object a line, as all gives them. The last
// line is {"end":true,"count":N}; a stream without it is incomplete.
func (s *server) streamLines(w http.ResponseWriter, r *http.Request, all func(line func(any) error) error) {
	out := &stream{w: w, ctl: http.NewResponseController(w), buf: make([]byte, 0, chunk+8<<10)}
	n := 0
	err := all(func(v any) error {
		n++
		return out.line(v)
	})
	switch {
	case out.err != nil: // the client is gone
	case err != nil && !out.begun:
		s.failErr(w, r, err)
		return
	case err != nil:
		s.logFailure(r, http.StatusInternalServerError, err)
		_ = out.line(problem{Error: reason(r, because(r, err))})
	default:
		_ = out.line(struct {
			End   bool `json:"end"`
			Count int  `json:"count"`
		}{true, n})
	}
	_ = out.flush()
}

// stream writes lines of JSON in chunks.
type stream struct {
	w     http.ResponseWriter
	ctl   *http.ResponseController
	buf   []byte
	begun bool
	err   error
}

func (s *stream) line(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	s.buf = append(append(s.buf, b...), '\n')
	if len(s.buf) < chunk {
		return s.err
	}
	return s.flush()
}

func (s *stream) flush() error {
	if s.err != nil {
		return s.err
	}
	if !s.begun {
		s.begun = true
		s.w.Header().Set("Content-Type", "application/x-ndjson")
	}
	_ = s.ctl.SetWriteDeadline(time.Now().Add(chunkTimeout))
	if _, s.err = s.w.Write(s.buf); s.err == nil {
		s.err = s.ctl.Flush()
	}
	s.buf = s.buf[:0]
	return s.err
}
