package ocitags

import (
	"context"
	"time"

	"github.com/ocitags/ocitags/internal/bound"
)

// An aside is the list without n, read beside the pages: some registries send
// all of it where it is asked for without n (distribution 3.1, Harbor).
type aside struct {
	stop func()
	full chan struct{} // closed when it has more tags than a page
	done chan struct{} // closed at its end
	tags chan []string
	rep  reply
	err  error

	batch []string
	n     int
}

// maxAside is how many batches are kept, of asideBatch tags.
const (
	maxAside   = 1024
	asideBatch = 512
)

func (s *tagsList) readAside(ctx context.Context) *aside {
	s.compared = true
	ctx, cancel := context.WithCancel(ctx)
	a := &aside{stop: cancel, full: make(chan struct{}), done: make(chan struct{}), tags: make(chan []string, maxAside)}
	u := s.query(0, "")
	s.wg.Go(func() {
		defer close(a.tags)
		defer close(a.done)
		a.rep, a.err = s.read(ctx, request{url: u, once: true}, a)
		if a.err == nil && len(a.batch) > 0 {
			a.err = a.send(ctx)
		}
	})
	return a
}

func (a *aside) begin(int)   {}
func (a *aside) leads() bool { return false }

func (a *aside) tag(ctx context.Context, tag string) (bool, error) {
	a.batch = append(a.batch, tag)
	if len(a.batch) == asideBatch {
		return true, a.send(ctx)
	}
	return true, nil
}

func (a *aside) send(ctx context.Context) error {
	before := a.n
	a.n += len(a.batch)
	if before <= defaultPageSize && a.n > defaultPageSize {
		close(a.full)
	}
	select {
	case a.tags <- a.batch:
		a.batch = nil
		return nil
	case <-ctx.Done():
		return bound.Ended(ctx)
	}
}

// isWhole reports whether the answer is more than a page. It waits for that, but
// not much longer than a page takes.
func (a *aside) isWhole(ctx context.Context, page time.Duration) bool {
	timer := time.NewTimer(max(time.Second, 4*page))
	defer timer.Stop()
	select {
	case <-a.full:
		return true
	default:
	}
	select {
	case <-a.full:
		return true
	case <-a.done:
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// drain hands on what has come and what still comes.
func (a *aside) drain(ctx context.Context, to sink) (reply, error) {
	to.begin(1)
	for batch := range a.tags {
		for _, tag := range batch {
			if _, err := to.tag(ctx, tag); err != nil {
				a.stop()
				return a.rep, err
			}
		}
	}
	return a.rep, a.err
}
