package store

import (
	"math"

	"github.com/clusto/clusto-engine/clusto"
)

// PortRange says how many ports of a type the driver lists, and up to which
// number it has them: 0 if it has none. A power tower lists half of its outlets.
// A driver that clusto does not have may have any.
func (s *Store) PortRange(driver, kind string) (listed, all int) {
	if listed, all, known := clusto.PortsOf(driver, kind); known {
		return listed, all
	}
	return math.MaxInt32, math.MaxInt32
}

// PortNumber reads the number of a port, or the name of an outlet. It gives 0
// for what is neither.
func (s *Store) PortNumber(driver, kind, text string) int {
	n, _ := clusto.PortNumber(driver, kind, text)
	return n
}
