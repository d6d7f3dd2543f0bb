package store

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"

	"github.com/clusto/clusto-engine/clusto"
)

// driverOf gives the driver that an entity operation names. A type makes one of
// a driver that clusto does not have.
func driverOf(op *clusto.Op) (clusto.Driver, error) {
	d, ok := clusto.Drivers[op.Driver]
	switch {
	case (op.Driver == metaName || op.Type == metaName) && op.Name != metaName:
		return d, fmt.Errorf("there is one %s only, which clusto made for its schema version and counters: %w", metaName, clusto.ErrInvalid)
	case op.Type != "" && (!typePattern.MatchString(op.Type) || !typePattern.MatchString(op.Driver)):
		return d, fmt.Errorf("type %q and driver %q: want lower-case letters, digits and _, 32 at most: %w", op.Type, op.Driver, clusto.ErrInvalid)
	case op.Type != "":
		d.Type = op.Type
		return d, clusto.CheckType(op.Type)
	case !ok:
		return d, fmt.Errorf("there is no driver %q; did you mean %q?: %w", op.Driver, nearest(op.Driver), clusto.ErrInvalid)
	}
	return d, nil
}

var typePattern = regexp.MustCompile(`^[a-z][0-9a-z_]{0,31}$`)

// nearest gives the driver whose name is the fewest edits away from name.
func nearest(name string) string {
	return clusto.Nearest(name, slices.Sorted(maps.Keys(clusto.Drivers)), math.MaxInt)
}
