package listing

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/ocitags/ocitags/internal/regtest"
)

// list.
func TestRepetition(t *testing.T) {
	start := slices.Sorted(slices.Values(regtest.MixedTags(100)))
	without := func(n int) []string { return append(start[:1:1], start[1+n:]...) }
	for name, test := range map[string]struct {
		page []string
		want bool
	}{
		"the same":                     {start, true},
		"more":                         {append(slices.Clone(start), "zzz"), true},
		"some were deleted":            {without(5), true},
		"some were pushed":             {slices.Concat(start[:50], []string{"new1", "new2"}, start[50:]), true},
		"many are missing":             {without(20), false},
		"another beginning":            {start[1:], false},
		"the same beginning, and less": {start[:49], false},
		"nothing":                      {nil, false},
	} {
		s := &tagsList{pass: pass{start: start}}
		p := &PageTags{Sink: each(func(string) error { return nil }), start: start}
		p.Begin(1)
		stopped := false
		for batch := range slices.Chunk(test.page, 7) {
			if _, err := p.Tags(t.Context(), batch); err == errRepeat {
				stopped = true
				break
			}
		}
		assert.Equal(t, test.want, stopped || s.isRepeat(p, len(start)), name)
	}
}
