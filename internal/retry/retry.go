// Package retry says how long to wait before a request is tried again.
package retry

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Waits returns the waits of our own choice, for one request: up to 0.5 s, 1 s,
// 2 s and so on to 30 s, each drawn evenly from zero ("full jitter"), so that
// clients which failed together do not come back together.
func Waits() *backoff.ExponentialBackOff {
	return &backoff.ExponentialBackOff{
		InitialInterval:     250 * time.Millisecond, // the middle of what is drawn
		RandomizationFactor: 1,
		Multiplier:          2,
		MaxInterval:         15 * time.Second,
	}
}

// Never is what a delay that no time.Duration can hold is cut to.
const Never = time.Duration(1<<63 - 1)

// After reads a Retry-After header (RFC 9110 §10.2.3): whole seconds, or an
// HTTP date, taken from now. Zero is no wish: the header is absent, names the
// past, or is neither.
func After(header string, now time.Time) time.Duration {
	header = strings.TrimSpace(header)
	if header == "" {
		return 0
	}
	if strings.Trim(header, "0123456789") == "" {
		seconds, err := strconv.ParseInt(header, 10, 64)
		if err != nil || seconds > int64(Never/time.Second) {
			return Never
		}
		return time.Duration(seconds) * time.Second
	}
	for _, layout := range []string{time.RFC1123, time.RFC850, time.ANSIC} { // RFC 9110 §5.6.7
		if t, err := time.Parse(layout, header); err == nil {
			return max(0, t.Sub(now))
		}
	}
	return 0
}

var inMessage = regexp.MustCompile(`retry-after: ((?:[0-9.]+(?:ns|µs|us|ms|s|m|h))+)`)

// InMessage reads the wish that ghcr.io puts into the text of a 429:
// "retry-after: 880.092µs, allowed: 44000/minute".
func InMessage(message string) time.Duration {
	if m := inMessage.FindStringSubmatch(message); m != nil {
		if d, err := time.ParseDuration(m[1]); err == nil {
			return max(0, d)
		}
	}
	return 0
}
