package order

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// No list that a registry sorts has a tag Below the one before it.
func TestBelowIsNeverSeenInSortedLists(t *testing.T) {
	tags := strings.Fields("a A a_b a_B a- a-b a-B a.b a.B a0 a1 a10 a2 aa aA Aa AA V1 v1 v1-alpine v1.0 v1.0-alpine v10 v2 v2-rc1 v2_x _ __x 0 00 1.2.3 1.2.3-rc1")
	for _, o := range Known {
		sorted := slices.SortedStableFunc(slices.Values(tags), o.Compare)
		for i := range sorted[1:] {
			assert.False(t, Below(sorted[i+1], sorted[i]), "%s: %q after %q", o.Name, sorted[i+1], sorted[i])
		}
	}
	// As a GitLab registry under ICU listed them.
	seen := strings.Fields("a A a_b a_B a- a-b a-B a.b a.B a0 a1 a10 a2 aa aA Aa AA")
	for i := range seen[1:] {
		assert.False(t, Below(seen[i+1], seen[i]), "ICU: %q after %q", seen[i+1], seen[i])
	}
}

func TestBelow(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want bool
	}{
		{"a", "b", true},
		{"b", "a", false},
		{"a", "a", false},
		{"v1", "v1-alpine", true}, // the other way round in the keys of an object store
		{"v1.0", "v1.0-alpine", true},
		{"A", "a", false}, // equal but for case: no order is broken
		{"B", "a", false},
		{"a-b", "ab", false}, // equal but for punctuation
		{"1.9", "1.10", false},
		{"1.10", "1.9", true},
	} {
		assert.Equal(t, test.want, Below(test.a, test.b), "Below(%q, %q)", test.a, test.b)
	}
}

// A key compares as its tag does, and stands for a tag.
func TestKey(t *testing.T) {
	tags := strings.Fields("a A a_b a- a.b aB a1 _ __x 0 1.2.3 1.2.3-rc1 v1 v1-alpine V1")
	for _, o := range Known {
		for _, a := range tags {
			assert.Zero(t, o.Compare(a, o.Tag(o.Key(a))), "%s: %q", o.Name, a)
			for _, b := range tags {
				assert.Equal(t, strings.Compare(o.Key(a), o.Key(b)), sign(o.Compare(a, b)), "%s: %q and %q", o.Name, a, b)
			}
		}
	}
}

func sign(n int) int { return max(-1, min(1, n)) }
