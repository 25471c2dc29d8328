package listing

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ocitags/ocitags/internal/ocierr"
)

// A list that is begun anew may bring little that is new, but not for ever.
func TestSecondPassComesToAnEnd(t *testing.T) {
	p := progress{pass: 1}
	var err error
	for pages := 0; err == nil && pages < 1000; pages++ {
		err = p.made(new(Cursor), 0, 100, 0, 1000)
	}
	require.ErrorIs(t, err, ocierr.ErrLoop)
	assert.Equal(t, 2200, p.entries)
}

// Questions come to an end, also where each answer has an entry that is not a tag.
func TestQuestionsComeToAnEnd(t *testing.T) {
	p := new(progress)
	var err error
	questions := 0
	for ; err == nil && questions < 1000; questions++ {
		err = p.made(&Cursor{kind: asked}, 0, 32, 1, 1000)
	}
	require.ErrorIs(t, err, ocierr.ErrLoop)
	assert.Equal(t, maxQuestions+1, questions)
}

// Whatever leads back to the start of a list, it does not do so for ever.
func TestListIsNotBegunForEver(t *testing.T) {
	f := &foreground{Listing: new(Listing), progress: progress{pass: maxPasses}}
	_, _, err := f.step(t.Context(), &Cursor{Restart: true})
	require.ErrorIs(t, err, ocierr.ErrLoop)
}

// Nor is one page read for ever, even if it overlaps the one before.
func TestPageIsNotReadForEver(t *testing.T) {
	for _, cur := range []*Cursor{{kind: announced, step: 1}, {kind: asked}, {kind: asked, again: true}} {
		p, times := &progress{pass: 1}, 0
		cur.URL = &url.URL{RawQuery: "last=a"}
		var err error
		for ; err == nil && times < 1000; times++ {
			err = p.enter(cur)
		}
		require.ErrorIs(t, err, ocierr.ErrLoop)
		assert.Equal(t, maxSame+1, times)
	}
}
