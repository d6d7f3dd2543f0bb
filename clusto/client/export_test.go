package client

// LookAgain has the next failed call look which server there is, though it has
// been done a moment ago, and once looks that are under way have ended: they
// would note that they have looked.
func (a *Auto) LookAgain() {
	a.looking.Wait()
	a.looked.Store(0)
}
