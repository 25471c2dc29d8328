package token

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
)

// A Store is part of a Client, which users print: no verb shows what it holds.
func TestStoreHidesItsTokens(t *testing.T) {
	const text = "hunter2-SECRET"
	var s Store
	by := HolderOf("bob", text)
	s.Rotate(by, text)
	s.At(Place{"https://registry.example", "a/b"}, by).header = hide("Bearer " + text)
	assert.Equal(t, text, s.RefreshToken(by, "own"))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		assert.NotContains(t, fmt.Sprintf(verb, &s), text, verb)
	}
	s.Rotate(by, "")
	assert.Equal(t, "own", s.RefreshToken(by, "own"))
}
