package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/clusto/clusto-engine/cache"
	"github.com/clusto/clusto-engine/clusto"
)

// seed is as clusto-dhcpd has it.
var seed = maphash.MakeSeed()

// host is what is kept of a host: a pointer.
type host struct{ n int }

// lruGet looks up one of n hosts at random, as a hall's machines come.
func lruGet(n int) contest {
	keys := make([]clusto.MAC, n)
	order := make([]clusto.MAC, 1<<16)
	for i := range keys {
		binary.BigEndian.PutUint32(keys[i][2:], uint32(i))
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range order {
		order[i] = keys[rnd.IntN(n)]
	}
	next := 0
	pick := func() clusto.MAC {
		next = (next + 1) % len(order)
		return order[next]
	}
	return contest{fmt.Sprintf("cache: Get of %d", n), []entrant{
		{ours, func() func() bool {
			c, err := cache.New(cache.Config[clusto.MAC, *host]{
				Size: 2 * n, TTL: time.Hour, Hash: func(m clusto.MAC) uint64 { return maphash.Comparable(seed, m) }, Name: func(m clusto.MAC) string { return string(m[:]) },
				Load:     func(context.Context, clusto.MAC) (*host, error) { return nil, context.Canceled },
				IsAbsent: func(error) bool { return false },
			})
			if err != nil {
				return func() bool { return false }
			}
			for i, k := range keys {
				c.PutAt(c.Generation(), k, &host{i})
			}
			return func() bool {
				h, state := c.Lookup(pick(), time.Now().UnixNano())
				return state == cache.Fresh && h != nil
			}
		}},
		{"golang-lru", func() func() bool {
			c, err := lru.New[clusto.MAC, *host](2 * n)
			if err != nil {
				return func() bool { return false }
			}
			for i, k := range keys {
				c.Add(k, &host{i})
			}
			return func() bool {
				_, ok := c.Get(pick())
				return ok
			}
		}},
	}}
}
