package httpd

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"

	"github.com/clusto/clusto-engine/clusto"
)

// insert puts an entity into another, which does not hold it yet, and shows the
// container. A rack needs ru: the lowest of the units that the thing takes.
func (s *server) insert(r *http.Request, p form, e clusto.Entity) (any, error) {
	thing, err := s.needObject(r, p)
	if err != nil {
		return nil, err
	}
	op := clusto.Op{Op: "insert", Name: thing.Name, Into: e.Name, Cycle: true}
	if e.Type == "rack" {
		if err := p.need("ru"); err != nil {
			return nil, err
		}
		ru, err := parseInt("ru", p["ru"], 1, math.MaxInt32)
		if err != nil {
			return nil, err
		}
		op.RU = int(ru)
	}
	held := clusto.Value{Type: clusto.Relation, Str: thing.Path()}
	lacks := clusto.Op{Op: "lacks", Name: e.Name, Key: "_contains", Value: &held}
	_, err = s.Store.Change(r.Context(), []clusto.Op{lacks, op})
	var refused *clusto.OpError
	switch {
	case errors.As(err, &refused) && refused.Index == 0 && errors.Is(err, clusto.ErrConflict):
		return nil, fmt.Errorf("insert %s into %s: it is there already: %w", thing.Path(), e.Path(), clusto.ErrConflict)
	case refused != nil:
		return nil, refused.Err
	case err != nil:
		return nil, err
	}
	return s.show(r, p, e)
}

// remove takes an entity out of another, if it is there, and shows the
// container.
func (s *server) remove(r *http.Request, p form, e clusto.Entity) (any, error) {
	thing, err := s.needObject(r, p)
	if err != nil {
		return nil, err
	}
	if _, err := s.change(r, clusto.Op{Op: "remove", Name: thing.Name, Into: e.Name}); err != nil {
		return nil, err
	}
	return s.show(r, p, e)
}

func (s *server) needObject(r *http.Request, p form) (clusto.Entity, error) {
	if err := p.need("object"); err != nil {
		return clusto.Entity{}, err
	}
	return s.object(r, "object", p["object"])
}

// unit is a rack unit and what is in it.
type unit struct {
	RU     int    `json:"ru"`
	Object string `json:"object"`
}

// getUnits answers with the units of a rack that are taken, lowest first, or
// with the rack and the units of anything else; the rack is null without one.
func (s *server) getUnits(r *http.Request, _ form, e clusto.Entity) (any, error) {
	o, err := s.Store.Object(r.Context(), e.Name)
	if err != nil {
		return nil, err
	}
	if o.Type == "rack" {
		return struct {
			Object string `json:"object"`
			Units  []unit `json:"units"`
		}{o.Path(), unitsOf(&o, "")}, nil
	}
	out := struct {
		Object string  `json:"object"`
		Rack   *string `json:"rack"`
		Units  []int   `json:"units"`
	}{Object: o.Path(), Units: []int{}}
	for _, parent := range o.Parents {
		if parent.Type != "rack" {
			continue
		}
		rack, err := s.Store.Object(r.Context(), parent.Name)
		if err != nil {
			return nil, err
		}
		path := parent.Path()
		out.Rack = &path
		for _, u := range unitsOf(&rack, o.Path()) {
			out.Units = append(out.Units, u.RU)
		}
	}
	return out, nil
}

// unitsOf lists the units of a rack that are taken, by one thing if it is given.
func unitsOf(rack *clusto.Object, by string) []unit {
	units := []unit{}
	for _, a := range rack.Attrs {
		to := a.Value.Str
		if a.Key == "_contains" && a.Sub() == "ru" && a.Number != nil && to != "" && (by == "" || by == to) {
			units = append(units, unit{*a.Number, to})
		}
	}
	slices.SortStableFunc(units, func(a, b unit) int { return cmp.Compare(a.RU, b.RU) })
	return units
}
