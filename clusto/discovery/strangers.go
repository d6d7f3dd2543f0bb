package discovery

import "context"

// rememberStrangers is how many strangers are known of that have ended something.
// Of each that is what it has ended, which leaves the queue some time later - read
// again before that, it would be worked off again - and what was answered about it.
const rememberStrangers = 1 << 14

// remember keeps what is known of a switch whose worker has stopped. d.mu is held.
func (d *Discovery) remember(w *worker) {
	if w.claims {
		d.claims--
	}
	switch {
	case w.class == member, w.kept:
	case w.claims, w.after != 0:
		w.kept = true
		d.strange = append(d.strange, w)
	default: // there was no room, and there is nothing to be known
		delete(d.workers, w.sw)
	}
	w.claims = false
}

// room makes room for what there will be to know of a stranger that a worker runs
// for: the one that has been known of longest is forgotten. It reports false as long
// as the queue has what that one ended.
func (w *worker) room(ctx context.Context) bool {
	d := w.d
	d.mu.Lock()
	defer d.mu.Unlock()
	if w.kept {
		return true
	}
	d.claims++
	w.claims = true
	old := d.oldest()
	if old == nil {
		return true
	}
	old.running = true // for nobody to start it
	d.mu.Unlock()
	left := old.left(ctx)
	d.mu.Lock()
	if old.told {
		d.lines[old.class].put(old.sw)
	}
	old.running, old.told = false, false
	if left {
		delete(d.workers, old.sw)
		return true
	}
	d.claims--
	w.claims = false
	d.remember(old)
	return false
}

// oldest takes out the stranger that has been known of longest, if one is too many.
// d.mu is held.
func (d *Discovery) oldest() *worker {
	for range len(d.strange) {
		if len(d.strange)+d.claims <= rememberStrangers {
			return nil
		}
		w := d.strange[0]
		d.strange[0], d.strange = nil, d.strange[1:]
		switch {
		case w.class == member:
			w.kept = false
		case w.running:
			d.strange = append(d.strange, w)
		default:
			w.kept = false
			return w
		}
	}
	return nil
}

// left reports whether all that a worker has ended has left the queue.
func (w *worker) left(ctx context.Context) bool {
	if w.after == 0 {
		return true
	}
	events, err := w.d.cfg.Queue.Next(ctx, w.sw, 0, 1)
	return err == nil && (len(events) == 0 || events[0].Seq > w.after)
}
