package httpd

import (
	_ "embed"
	"net/http"
)

// openAPI describes /v2. A test holds it to what the server does: whoever adds a
// call adds it there.
//
//go:embed openapi.json
var openAPI []byte

// routeOpenAPI registers the description of all calls.
func (s *server) routeOpenAPI(mux *router) {
	s.callV2(mux, "GET /v2/openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(openAPI) // a client that is gone needs no answer
	})
}
