package httpd

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/clusto/clusto-engine/clusto"
)

// attrsOf is the answer of /v2/entities/{name}/attrs.
type attrsOf struct {
	Attrs []clusto.Attr `json:"attrs"`
}

// getAttrsV2 answers with an entity's attributes in the order in which they
// were written; key=KEY: of that key, hidden=1: those whose key begins with _
// too, merge=1: followed by those of its containers, nearest first.
func (s *server) getAttrsV2(w http.ResponseWriter, r *http.Request) {
	q, err := attrQuery(r.PathValue("name"), r.URL.Query())
	if err != nil {
		s.failErr(w, r, err)
		return
	}
	attrs, err := s.Store.Attrs(r.Context(), q)
	if err != nil {
		s.failErr(w, r, err)
		return
	}
	s.answer(w, r, http.StatusOK, attrsOf{attrs})
}

func attrQuery(name string, params url.Values) (q clusto.AttrQuery, err error) {
	q = clusto.AttrQuery{Name: name, Key: params.Get("key")}
	if !storable(name) || !storable(q.Key) {
		return q, invalid("attributes of %q: a name is no UTF-8 text, or has a NUL character", name)
	}
	if q.Merge, err = parseSwitch(params, "merge"); err == nil {
		q.Hidden, err = parseSwitch(params, "hidden")
	}
	if err != nil {
		return q, fmt.Errorf("attributes of %q: %w", name, err)
	}
	return q, nil
}

// parseSwitch reads a parameter that is 1 or 0; 0 if it is not there.
func parseSwitch(params url.Values, param string) (bool, error) {
	if !params.Has(param) {
		return false, nil
	}
	on, err := strconv.ParseBool(params.Get(param))
	if err != nil {
		return false, invalid("parameter %s is %.40q, want 1 or 0", param, params.Get(param))
	}
	return on, nil
}
