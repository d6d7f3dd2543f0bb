package storm

import (
	"math"
	"time"
)

// Result is what one Do came to. Its frame counts satisfy
// Received = Offers + Acks + Naks + Late + Invalid + Stray.
type Result struct {
	Done   int // clients that did all they were to do
	Failed int // clients that gave up; Client.State says why
	Peak   int // most clients unfinished at once

	Sent          int // frames that the Conn took
	TxDropped     int // frames that it did not take; they are sent again in time
	Retransmitted int // of Sent and TxDropped, those sent because no reply came

	Received int
	Offers   int // taken
	Acks     int // taken
	Naks     int // taken
	Late     int // for a client that did not wait for it: duplicates, old xids
	Invalid  int // for a client that waited for it, but it lacks an address or option 54, or ACKs another address
	Stray    int // not a DHCP reply, or not to any client

	Answered  time.Duration   // until the last client was Done; 0 if none was
	Elapsed   time.Duration   // until all were Done or Failed
	Latencies []time.Duration // of the clients that are Done, ascending
}

// Percentile gives the latency that p of 100 clients did not exceed (nearest
// rank); 0 if no client is done.
func (r *Result) Percentile(p float64) time.Duration {
	n := len(r.Latencies)
	if n == 0 {
		return 0
	}
	rank := int(math.Ceil(p / 100 * float64(n)))
	return r.Latencies[min(max(rank, 1), n)-1]
}
