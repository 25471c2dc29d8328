package bound

import (
	"context"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// slow gives one byte after each wait, until the context ends.
type slow struct {
	ctx  context.Context
	wait time.Duration
}

func (s slow) Read(p []byte) (int, error) {
	select {
	case <-time.After(s.wait):
		p[0] = 'x'
		return 1, nil
	case <-s.ctx.Done():
		return 0, s.ctx.Err()
	}
}

func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		b := &Body{R: slow{ctx, time.Hour}, Watch: &Watch{Idle: time.Minute, Total: time.Hour, Cancel: cancel}, Max: 10}
		began := time.Now()
		_, err := io.ReadAll(b)
		require.Error(t, err)
		assert.Equal(t, time.Minute, time.Since(began))
		require.ErrorIs(t, context.Cause(ctx), context.DeadlineExceeded)
		assert.Equal(t, "the server sent nothing for 1m0s", context.Cause(ctx).Error())
	})
}

func TestTotal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		b := &Body{R: slow{ctx, 50 * time.Second}, Watch: &Watch{Idle: time.Minute, Total: 5 * time.Minute, Cancel: cancel}, Max: 1000}
		_, err := io.ReadAll(b)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Contains(t, err.Error(), "5m0s")
	})
}

// The consumer may take all the time it wants.
func TestConsumersTimeIsItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		b := &Body{R: strings.NewReader("abc"), Watch: &Watch{Idle: time.Minute, Total: time.Minute, Cancel: cancel}, Max: 10}
		for range 3 {
			_, err := b.Read(make([]byte, 1))
			require.NoError(t, err)
			time.Sleep(time.Hour)
		}
		require.NoError(t, ctx.Err())
	})
}

func TestMax(t *testing.T) {
	read := func(max int64) error {
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		_ = ctx
		_, err := io.ReadAll(&Body{R: strings.NewReader("abc"), Watch: &Watch{Idle: time.Minute, Total: time.Minute, Cancel: cancel}, Max: max})
		return err
	}
	require.NoError(t, read(3))
	err := read(2)
	require.Error(t, err)
	assert.Contains(t, err.Error(), "more than 2 bytes")
}
