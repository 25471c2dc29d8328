package dedup

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// admitted are those of tags that f lets through; it must not forget.
func admitted(t *testing.T, f *Filter, tags ...string) (fresh []string) {
	t.Helper()
	for _, tag := range tags {
		ok, forgot := f.Admit(tag)
		require.False(t, forgot, "%q", tag)
		if ok {
			fresh = append(fresh, tag)
		}
	}
	return fresh
}

func TestAscending(t *testing.T) {
	var f Filter
	assert.Equal(t, []string{"a", "b", "c"}, admitted(t, &f, "a", "b", "b", "c", "c"))
	assert.Nil(t, f.seen, "no set while the tags ascend")
}

func TestOutOfOrder(t *testing.T) {
	var f Filter
	assert.Equal(t, []string{"b", "d", "a", "c"}, admitted(t, &f, "b", "d", "a", "b", "c", "d", "a"))
}

func TestRewind(t *testing.T) {
	var f Filter
	admitted(t, &f, "a", "b")
	mark := f.Mark()
	admitted(t, &f, "c", "d")
	f.Rewind(mark) // the page with c and d is read once more
	assert.Equal(t, []string{"e"}, admitted(t, &f, "c", "d", "e"))
	assert.Nil(t, f.seen)

	f.Rewind("")
	assert.Empty(t, admitted(t, &f, "a", "c", "e"), "the list from its start, with a tag deleted")
	assert.Equal(t, []string{"f"}, admitted(t, &f, "f"))

	f.Rewind("d")
	assert.Equal(t, []string{"0"}, admitted(t, &f, "0", "a", "e", "f"), "and out of order after all")
}

func TestForgetting(t *testing.T) {
	f := Filter{Hold: 3}
	admitted(t, &f, "a", "b", "c", "d")
	_, forgot := f.Admit("b")
	require.True(t, forgot)
	assert.False(t, f.Unordered())
	f.Recall([]string{"a", "b", "c", "d"})
	assert.True(t, f.Unordered())
	assert.Equal(t, []string{"aa", "e"}, admitted(t, &f, "b", "aa", "d", "e"))

	f = Filter{Hold: -1}
	for i := range Keep + 10 {
		admitted(t, &f, fmt.Sprintf("%09d", i))
	}
	assert.Empty(t, admitted(t, &f, "000000000"), "holds all")

	f = Filter{}
	assert.True(t, f.Unordered(), "nothing to remember")
	assert.Equal(t, []string{"b", "a"}, admitted(t, &f, "b", "a", "b"))
}
