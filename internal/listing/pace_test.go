package listing

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestPace(t *testing.T) {
	pages := func(p *pace, slots, n int, took time.Duration) int {
		for range n {
			slots = p.page(slots, took)
		}
		return slots
	}
	const usual = 20 * time.Millisecond
	p := &pace{most: MaxConcurrency}
	slots := pages(p, DefaultConcurrency, paceShort-1, usual)
	assert.Equal(t, DefaultConcurrency, slots, "a short list")
	slots = pages(p, slots, 1, usual)
	assert.Equal(t, 6, slots)
	assert.Equal(t, 6, pages(p, slots, 5, usual), "as many pages as requests tell")
	slots = pages(p, slots, 1, usual)
	assert.Equal(t, 9, slots)
	slots = pages(p, slots, 100, usual+usual/4)
	assert.Equal(t, MaxConcurrency, slots, "and not more")
	slots = pages(p, slots, 100, usual+usual/3)
	assert.Equal(t, MaxConcurrency, slots, "a little slower")
	slots = pages(p, slots, 28, 2*usual)
	assert.Less(t, slots, MaxConcurrency)
	assert.Greater(t, slots, DefaultConcurrency, "step by step")
	slots = pages(p, slots, 100, 2*usual)
	assert.Equal(t, DefaultConcurrency, slots, "and not fewer")
	for range 4 { // one slow answer in five
		slots = pages(p, slots, 4, usual)
		slots = pages(p, slots, 1, 50*usual)
	}
	assert.Greater(t, slots, DefaultConcurrency, "single answers do not count")
	assert.Equal(t, DefaultConcurrency, p.refuse(slots))
	fewer := p.refuse(DefaultConcurrency)
	assert.Equal(t, 3, fewer)
	assert.Equal(t, fewer, pages(p, fewer, 100, usual), "never more after a refusal")
	assert.Equal(t, 1, p.refuse(1))

	quick := &pace{most: MaxConcurrency}
	assert.Equal(t, DefaultConcurrency, pages(quick, DefaultConcurrency, 100, time.Millisecond), "nothing to gain")

	fixed := new(pace)
	assert.Equal(t, 8, pages(fixed, 8, 100, usual), "the user's number")
	assert.Equal(t, 8, pages(fixed, 8, 100, 2*usual))
	assert.Equal(t, 7, fixed.refuse(8), "and the registry's")
}
