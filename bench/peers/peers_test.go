package main

import "testing"

// TestAllDoTheirWork: what is measured does what it says, and ours without an
// allocation.
func TestAllDoTheirWork(t *testing.T) {
	for _, c := range contests {
		for i, e := range c.by {
			once := e.prepare()
			if !once() {
				t.Errorf("%s: %s does not do it", c.name, e.name)
			}
			if n := testing.AllocsPerRun(100, func() { once() }); i == 0 && n != 0 {
				t.Errorf("%s: %s allocates %v times", c.name, e.name, n)
			}
		}
	}
}

func BenchmarkPeers(b *testing.B) {
	for _, c := range contests {
		for _, e := range c.by {
			b.Run(c.name+"/"+e.name, e.bench)
		}
	}
}
