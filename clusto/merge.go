package clusto

import (
	"cmp"
	"slices"
)

// Merge picks, for each (key, subkey), the attributes of the most specific
// entity that has any: the smallest Distance, and among entities at one
// distance the one whose Origin sorts first. What is left of a name keeps all
// values of that one entity, by number (NULL first), then ID, so that a list
// option sees its list and a single-valued one takes the last. The result is
// sorted by key and subkey. Merge reorders attrs and returns a part of it.
func Merge(attrs []Attr) []Attr {
	slices.SortStableFunc(attrs, func(a, b Attr) int {
		return cmp.Or(
			cmp.Compare(a.Key, b.Key),
			cmp.Compare(a.Sub(), b.Sub()),
			cmp.Compare(a.Distance, b.Distance),
			cmp.Compare(a.Origin, b.Origin),
			cmp.Compare(a.number(), b.number()),
			cmp.Compare(a.ID, b.ID),
		)
	})
	out := attrs[:0]
	var win Attr
	for i, a := range attrs {
		if i == 0 || a.Key != win.Key || a.Sub() != win.Sub() {
			win = a
		}
		if a.Origin == win.Origin && a.Distance == win.Distance {
			out = append(out, a)
		}
	}
	return out
}

func (a *Attr) number() int {
	if a.Number == nil {
		return -1
	}
	return *a.Number
}

// Decide sets Enabled and Why from the merged attributes, and takes
// dhcp/enabled out of them: it is a switch, not an option.
func (h *Host) Decide() {
	h.Enabled, h.Why = false, "no dhcp/enabled on "+h.Path()+" or any of its containers"
	rest := h.Attrs[:0]
	for _, a := range h.Attrs {
		if a.Key != "dhcp" || a.Sub() != "enabled" {
			rest = append(rest, a)
			continue
		}
		h.Enabled, h.Why = a.Value.True(), ""
		if !h.Enabled {
			h.Why = "dhcp/enabled is \"" + a.Value.Text() + "\" on " + a.Origin
		}
	}
	h.Attrs = rest
}
