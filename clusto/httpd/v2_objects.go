package httpd

import (
	"net/http"

	"github.com/clusto/clusto-engine/clusto"
)

// getObjects streams all entities with all that they hold, one clusto.Object a
// line, in the order in which they were made.
func (s *server) getObjects(w http.ResponseWriter, r *http.Request) {
	s.streamLines(w, r, func(line func(any) error) error {
		return s.Store.Objects(r.Context(), func(o *clusto.Object) error { return line(o) })
	})
}
