package discovery

import "context"

// rememberStrangers is how many strangers are known of that have ended something.
// Of each that is what it has ended, which leaves the queue some time later - read
// again before that, it would be worked off again - and what was answered about it.
const rememberStrangers = 1 << 14

// remember keeps what is known of a switch whose worker has stopped. d.mu is held.
func (d *Discovery) remember(w *worker) {
	switch {
	case w.class == member, w.kept:
	case w.after == 0 && len(d.strange) >= rememberStrangers: // there is nothing to be known
		delete(d.workers, w.sw)
	default:
		w.kept = true
		d.strange = append(d.strange, w)
	}
}

// room makes room for what there will be to know of another stranger: the one that
// has been known of longest is forgotten. It reports false as long as the queue has
// what that one ended.
func (d *Discovery) room(ctx context.Context) bool {
	d.mu.Lock()
	if len(d.strange)+d.lines[stranger].running <= rememberStrangers {
		d.mu.Unlock()
		return true
	}
	w := d.strange[0]
	d.strange[0], d.strange = nil, d.strange[1:]
	w.kept = false
	if w.running || w.class == member {
		d.mu.Unlock()
		return true
	}
	w.running = true // for nobody else to start it
	d.mu.Unlock()
	left := w.left(ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	if w.told {
		d.lines[w.class].put(w.sw)
	}
	w.running, w.told = false, false
	if left {
		delete(d.workers, w.sw)
	} else {
		d.remember(w)
	}
	return left
}

// left reports whether all that a worker has ended has left the queue.
func (w *worker) left(ctx context.Context) bool {
	if w.after == 0 {
		return true
	}
	events, err := w.d.cfg.Queue.Next(ctx, w.sw, 0, 1)
	return err == nil && (len(events) == 0 || events[0].Seq > w.after)
}
