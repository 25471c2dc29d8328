package ocitags

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ocitags/ocitags/internal/wire"
)

// Overlapping costs few pages, whatever the length of the list.
func TestQuayPagesOverlap(t *testing.T) {
	for _, most := range []int{minOverlapping, 50, 100} {
		q := &quay{most: most, end: most}
		for pages := 1; q.end < 100_000; pages++ {
			page := q.following(q.end)
			from, to := (page.number-1)*page.limit, page.number*page.limit
			require.Less(t, from, q.end)
			require.Greater(t, to, q.end)
			require.LessOrEqual(t, page.limit, most)
			if q.end = to; most == 100 {
				require.LessOrEqual(t, pages*most, q.end*12/10+2*most, "after %d", q.end)
			}
		}
	}
}

// quay lets more through at once over HTTP/2.
func TestQuayBursts(t *testing.T) {
	assert.Equal(t, 25, burst(&wire.Response{Major: 1}))
	assert.Equal(t, 100, burst(&wire.Response{Major: 2}))
}
