package httpd

import (
	"net/http"
	"net/url"

	"github.com/clusto/clusto-engine/clusto"
)

// routeV2Entities registers the calls that read entities.
func (s *server) routeV2Entities(mux *router) {
	mux.HandleFunc("GET /v2/entities", s.getEntitiesV2)
	mux.HandleFunc("GET /v2/entities/{name}", s.getObject)
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
// conditions of /query/get_entities), in the order in which they were made. type, driver and name may be repeated: one of each has to fit.
func (s *server) getEntitiesV2(w http.ResponseWriter, r *http.Request) {
	q, err := entityQuery(r.URL.RawQuery)
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

func entityQuery(encoded string) (q clusto.Query, err error) {
	params, err := url.ParseQuery(encoded)
	if err != nil {
		return q, invalid("read parameters: %v", err)
	}
	for param, values := range params {
		for _, v := range values {
			if !storable(v) {
				return q, invalid("parameter %s is no UTF-8 text, or has a NUL character", param)
			}
		}
		switch param {
		case "type":
			q.Types = values
		case "driver":
			q.Drivers = values
		case "name":
			q.Names = values
		case "q":
			q.Contains = values[len(values)-1]
		case "attrs":
			if q.Attrs, err = parseMatches(param, values[len(values)-1]); err != nil {
				return q, err
			}
		default:
			return q, invalid("there is no parameter %.40q; known are type, driver, name, q, attrs", param)
		}
	}
	return q, nil
}
