package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/ocitags/ocitags/internal/bound"
	"github.com/ocitags/ocitags/internal/ocierr"
	"github.com/ocitags/ocitags/internal/retry"
)

// Attempts counts the tries of one request, and waits between them.
type Attempts struct {
	log   *slog.Logger
	most  int
	made  int
	waits *backoff.ExponentialBackOff
}

// Attempts returns those of one request.
func (c *Client) Attempts() *Attempts {
	return &Attempts{log: c.Log, most: c.MaxAttempts, waits: retry.Waits()}
}

// Next waits before another try after one that failed with err. It reports false
// where none is made, with the error to return.
func (a *Attempts) Next(ctx context.Context, err error) (again bool, _ error) {
	a.made++
	retryAfter, ok := retryable(err)
	switch {
	case !ok || retryAfter > MaxRetryAfter:
		return false, err
	case a.made >= a.most, a.made >= maxRefused && errors.Is(err, syscall.ECONNREFUSED):
		if a.made > 1 {
			err = fmt.Errorf("%w (tried %d times)", err, a.made)
		}
		return false, err
	}
	wait := retryAfter + a.waits.NextBackOff() // drawn by each, so that they do not come back together
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
		return false, fmt.Errorf("%w; the next try would be in %v: %w", err, wait.Round(time.Millisecond), context.DeadlineExceeded)
	}
	a.log.DebugContext(ctx, "trying again", "wait", wait, "because", err.Error())
	if !sleep(ctx, wait) {
		return false, fmt.Errorf("%w; while waiting to try again: %w", err, bound.Ended(ctx))
	}
	return true, nil
}

// Pauses has until when registries want no requests, by the Retry-After of their
// last answers, so that listings need not be told one by one. The zero value has
// none.
type Pauses struct {
	mu    sync.Mutex
	until map[string]time.Time // by host
}

// pause records a registry's Retry-After for every listing of the Client.
func (p *Pauses) pause(host string, retryAfter time.Duration) {
	if retryAfter <= 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.until == nil {
		p.until = make(map[string]time.Time)
	}
	p.until[host] = time.Now().Add(retryAfter)
}

// wait waits while a registry wants no requests.
func (p *Pauses) wait(ctx context.Context, host string) error {
	for {
		p.mu.Lock()
		wait := time.Until(p.until[host])
		p.mu.Unlock()
		if wait <= 0 {
			return nil
		}
		wait += retry.Waits().NextBackOff()
		tooLong := fmt.Errorf("%w: %s asked clients to wait %v", ocierr.ErrRateLimited, host, wait.Round(time.Millisecond))
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
			return fmt.Errorf("%w: %w", tooLong, context.DeadlineExceeded)
		}
		if !sleep(ctx, wait) {
			return fmt.Errorf("%w: %w", tooLong, bound.Ended(ctx))
		}
	}
}

// sleep waits for d, and reports false if ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// retryable reports whether another attempt may mend err, and how long the
// server asked to wait before it.
func retryable(err error) (retryAfter time.Duration, ok bool) {
	if refused, ok := errors.AsType[Refused](err); ok {
		switch refused.Status {
		case 408, 425, 429, 499, 500, 502, 503, 504, 522:
			return refused.RetryAfter, true
		}
		return 0, false
	}
	for _, final := range []error{ocierr.ErrUnsafeLink, ocierr.ErrTooLarge, ocierr.ErrUnauthorized, http.ErrSchemeMismatch} {
		if errors.Is(err, final) {
			return 0, false
		}
	}
	if _, ok := errors.AsType[Permanent](err); ok {
		return 0, false
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return 0, false
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return 0, false
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return 0, false
	}
	// A body that was cut short, or a connection that failed.
	return 0, !errors.Is(err, ocierr.ErrInvalidResponse) || errors.Is(err, ErrCutShort) || errors.Is(err, io.ErrUnexpectedEOF)
}
