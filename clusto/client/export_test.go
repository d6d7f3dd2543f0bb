package client

// LookAgain has the next failed call look which server there is, though it has
// been done a moment ago.
func (a *Auto) LookAgain() { a.looked.Store(0) }
