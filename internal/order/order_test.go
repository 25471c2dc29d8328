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
	for name, compare := range map[string]func(a, b string) int{
		"bytes":               strings.Compare,
		"folded":              func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) },
		"punctuation first":   func(a, b string) int { return compare(a, b, punctuationFirst) },
		"without punctuation": func(a, b string) int { return compare(strip(a), strip(b), folded) },
	} {
		sorted := slices.SortedStableFunc(slices.Values(tags), compare)
		for i := range sorted[1:] {
			assert.False(t, Below(sorted[i+1], sorted[i]), "%s: %q after %q", name, sorted[i+1], sorted[i])
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
