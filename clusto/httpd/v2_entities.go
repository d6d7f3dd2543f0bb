package httpd

import (
	"net/http"
	"net/url"

	"github.com/clusto/clusto-engine/clusto"
)

// routeV2Entities registers the calls that read entities.
func (s *server) routeV2Entities(mux *router) {
	s.callV2(mux, "GET /v2/entities", s.getEntitiesV2, "type", "driver", "name", "q", "attrs")
	s.callV2(mux, "GET /v2/entities/{name}", s.getObject)
}

// getObject answers with a clusto.Object.
func (s *server) getObject(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	if !storable(name) {
		s.failErr(w, r, invalid("the name of the entity is no UTF-8 text, or has a NUL character"))
		return
	}
	o, err := s.Store.Object(r.Context(), name)
	if err != nil {
		s.failErr(w, r, err)
		return
	}
	s.answer(w, r, http.StatusOK, o)
}

// entityList is the answer of /v2/entities.
type entityList struct {
	Entities []clusto.Entity `json:"entities"`
}

// getEntitiesV2 answers with the entities of the types, drivers and names given,
// whose name contains q in letters of any case and who meet one of attrs (the
// conditions of /query/get_entities), in the order in which they were made. type,
// driver and name may be repeated: one of each has to fit.
func (s *server) getEntitiesV2(w http.ResponseWriter, r *http.Request) {
	q, err := entityQuery(r.URL.Query())
	if err != nil {
		s.failErr(w, r, err)
		return
	}
	found, err := s.Store.Entities(r.Context(), q)
	if err != nil {
		s.failErr(w, r, err)
		return
	}
	s.answer(w, r, http.StatusOK, entityList{found})
}

func entityQuery(params url.Values) (q clusto.Query, err error) {
	q = clusto.Query{Types: params["type"], Drivers: params["driver"], Names: params["name"]}
	if contains := params["q"]; len(contains) > 0 {
		q.Contains = contains[len(contains)-1]
	}
	if attrs := params["attrs"]; len(attrs) > 0 {
		q.Attrs, err = parseMatches("attrs", attrs[len(attrs)-1])
	}
	return q, err
}
