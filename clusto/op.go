package clusto

import "fmt"

// Op is one step of a change to the inventory. A list of them is applied in
// order, in one transaction, all or nothing. Every step states what shall hold
// afterwards, so applying a list twice changes nothing the second time.
//
//	entity  Name, Driver         the entity exists with that driver
//	attr    Name, Key, Subkey, Number, Value   the entity holds exactly this
//	                             value under (key, subkey, number); With more
//	                             values under one (key, subkey), give numbers
//	insert  Name, Into, RU       the entity is inside the container; in racks RU > 0
//	bind    Name, IP, OSPort     the address is bound to the entity (and to the
//	                             interface, if given), under the IP manager
//	                             whose range holds it
type Op struct {
	Op     string  `json:"op"`
	Name   string  `json:"name"`
	Driver string  `json:"driver,omitempty"`
	Key    string  `json:"key,omitempty"`
	Subkey *string `json:"subkey,omitempty"`
	Number *int    `json:"number,omitempty"`
	Value  *Value  `json:"value,omitempty"`
	Into   string  `json:"into,omitempty"`
	RU     int     `json:"ru,omitempty"`
	IP     string  `json:"ip,omitempty"`
	OSPort string  `json:"osport,omitempty"`
}

// OpError says which operation of a list could not be applied, and why. Err
// wraps ErrConflict, ErrInvalid or ErrNotFound.
type OpError struct {
	Index int // into the list
	Err   error
}

func (e *OpError) Error() string { return fmt.Sprintf("operation %d: %v", e.Index, e.Err) }

// Unwrap gives Err.
func (e *OpError) Unwrap() error { return e.Err }
