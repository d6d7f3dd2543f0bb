package clusto

// Change says what may have changed in the inventory since another position of
// its change feed.
//
// The feed is a sequence of rows that triggers in the database write, numbered in
// the order in which they were committed. Each also has a number drawn by lot. A
// position in the feed is that of a row: both its numbers, as in "184-1y0kq3...".
// Whoever has one may go on from there later, at another server of the same
// database too, and misses nothing. If that cannot be promised, since the row is
// gone or another one, as in another database or in an old copy that was put
// back, the answer is a Reset.
type Change struct {
	ID   string // the position reached; where to go on from
	Seq  int64  // the first number in it
	Head int64  // that of the latest row that there was

	// Reset says that anything may have changed.
	Reset bool

	// Entities lists, as "/type/name", those whose hosts may be others now: the
	// ones changed, all that they contain, what is bound under them and whatever
	// has a dhcp attribute that points to one of them. MACs lists those of all
	// these entities, and those that were taken from one of them. Both are in no
	// order, without doubles.
	Entities []string
	MACs     []MAC
}
