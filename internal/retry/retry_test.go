package retry

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAfter(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"":                               0,
		"0":                              0,
		"2":                              2 * time.Second,
		" 2 ":                            2 * time.Second,
		"86400":                          24 * time.Hour,
		"-1":                             0,
		"1.5":                            0,
		"abc":                            0,
		"2 abc":                          0,
		"0x10":                           0,
		"９":                              0,
		"9999999999":                     Never,
		"99999999999999999999":           Never,
		"Mon, 23 Nov 2026 10:00:05 GMT":  5 * time.Second,
		"Monday, 23-Nov-26 10:00:05 GMT": 5 * time.Second,
		"Mon Nov 23 10:00:05 2026":       5 * time.Second,
		"Mon, 23 Nov 2026 09:59:00 GMT":  0, // the past
		"Thu, 01 Jan 1970 00:00:00 GMT":  0,
	} {
		assert.Equal(t, want, After(header, now), "After(%q)", header)
	}
}

func TestInMessage(t *testing.T) {
	for message, want := range map[string]time.Duration{
		"retry-after: 880.092µs, allowed: 44000/minute": 880092 * time.Nanosecond,
		"retry-after: 1m2s":   62 * time.Second,
		"retry-after: soon":   0,
		"toomanyrequests":     0,
		"retry-after: 1.2.3s": 0,
	} {
		assert.Equal(t, want, InMessage(message), "InMessage(%q)", message)
	}
}

func TestWaits(t *testing.T) {
	waits := Waits()
	for try, most := range []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 30 * time.Second, 30 * time.Second} {
		wait := waits.NextBackOff()
		require.GreaterOrEqual(t, wait, time.Duration(0), "try %d", try)
		require.LessOrEqual(t, wait, most+time.Nanosecond, "try %d", try)
	}
}

// A Retry-After is never negative, and a number of seconds is taken as it is.
func FuzzAfter(f *testing.F) {
	for _, header := range []string{"0", "2", "-1", "99999999999999999999", "Mon, 23 Nov 2026 10:00:05 GMT", "Mon, 01 Jan 9999 00:00:00 GMT", "1e3"} {
		f.Add(header)
	}
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, header string) {
		require.GreaterOrEqual(t, After(header, now), time.Duration(0))
		require.GreaterOrEqual(t, InMessage(header), time.Duration(0))
	})
}
