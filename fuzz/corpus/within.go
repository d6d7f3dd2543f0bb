package corpus

import "unsafe"

// Within reports whether val is a part of b, and appending to it cannot write
// over what follows it in b. Targets ask it of every view.
func Within(b, val []byte) bool {
	if len(val) == 0 {
		return true
	}
	first := func(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }
	end, of := first(val)+uintptr(len(val)), first(b)+uintptr(len(b))
	return first(val) >= first(b) && end <= of && (end == of || cap(val) == len(val))
}
