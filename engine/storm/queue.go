package storm

// alarms is a min-heap of clients by the time at which they lose patience. Each
// client is in it once at most, so it never grows beyond what it was made with.
type alarms struct {
	order []int32 // client numbers
	due   []int64 // by client, nanoseconds since the Storm began
	at    []int32 // by client, its place in order; -1 if it has none
}

func newAlarms(n int) alarms {
	a := alarms{order: make([]int32, 0, n), due: make([]int64, n), at: make([]int32, n)}
	for i := range a.at {
		a.at[i] = -1
	}
	return a
}

// set rings for client c at the given time, and at no other.
func (a *alarms) set(c int32, due int64) {
	a.due[c] = due
	if a.at[c] < 0 {
		a.at[c] = int32(len(a.order))
		a.order = append(a.order, c)
	}
	a.down(a.up(a.at[c]))
}

// clear makes client c ring no more.
func (a *alarms) clear(c int32) {
	i := a.at[c]
	if i < 0 {
		return
	}
	last := int32(len(a.order) - 1)
	a.swap(i, last)
	a.order, a.at[c] = a.order[:last], -1
	if i < last {
		a.down(a.up(i))
	}
}

// next is the client that rings first, and when; ok is false if none does.
func (a *alarms) next() (c int32, due int64, ok bool) {
	if len(a.order) == 0 {
		return 0, 0, false
	}
	c = a.order[0]
	return c, a.due[c], true
}

func (a *alarms) less(i, j int32) bool { return a.due[a.order[i]] < a.due[a.order[j]] }

func (a *alarms) swap(i, j int32) {
	a.order[i], a.order[j] = a.order[j], a.order[i]
	a.at[a.order[i]], a.at[a.order[j]] = i, j
}

func (a *alarms) up(i int32) int32 {
	for i > 0 && a.less(i, (i-1)/2) {
		a.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
	return i
}

func (a *alarms) down(i int32) {
	for n := int32(len(a.order)); ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < n; child++ {
			if a.less(child, least) {
				least = child
			}
		}
		if least == i {
			return
		}
		a.swap(i, least)
		i = least
	}
}

// line is a queue of the clients that have something to send. Each client is in
// it once at most.
type line struct {
	ring    []int32
	in      []bool // by client
	head, n int
}

func newLine(n int) line { return line{ring: make([]int32, n), in: make([]bool, n)} }

func (l *line) len() int { return l.n }

func (l *line) push(c int32) {
	if l.in[c] {
		return
	}
	l.in[c] = true
	l.ring[(l.head+l.n)%len(l.ring)] = c
	l.n++
}

func (l *line) pop() (c int32, ok bool) {
	if l.n == 0 {
		return 0, false
	}
	c = l.ring[l.head]
	l.head, l.n = (l.head+1)%len(l.ring), l.n-1
	l.in[c] = false
	return c, true
}
