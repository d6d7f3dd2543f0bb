package clusto

// Query selects entities. The fields are AND-ed, the values in each OR-ed; an
// empty field is no condition.
type Query struct {
	Names    []string
	Types    []string
	Drivers  []string
	Attrs    []AttrMatch
	Contains string // a part of the name, in letters of any case
}

// AttrMatch selects entities by an attribute that they hold: one attribute that
// meets every condition set. Nil pointers are no condition.
type AttrMatch struct {
	Key    string // "" is no condition
	Subkey *NullString
	Number *NumberMatch
	Value  *ValueMatch
}

// NullString is a text or SQL's NULL.
type NullString struct {
	Text string
	Null bool
}

// NumberMatch matches an attribute's number: equal to Equal, else NULL if Null,
// else any number at all.
type NumberMatch struct {
	Equal *int64
	Null  bool
}

// ValueMatch matches an attribute's value: an integer, a text in any of
// Texts' spellings, or, if neither is set, the lack of a text.
type ValueMatch struct {
	Int   *int64
	Texts []string
}

// AttrQuery selects attributes of one entity.
type AttrQuery struct {
	Name   string
	Key    string // "" for all
	Hidden bool   // with Key "": also those whose key begins with _
	Merge  bool   // also those of its containers, nearest first
}
