package main

import (
	"time"

	"golang.org/x/sys/unix"
)

// nap sleeps to within some 50 us, where time.Sleep of an idle program takes the
// milliseconds of epoll_wait.
func nap(d time.Duration) {
	t := unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&t, nil) // a signal may end it early
}
