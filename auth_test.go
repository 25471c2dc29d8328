package ocitags

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ocitags/ocitags/internal/regtest"
	"github.com/ocitags/ocitags/internal/token"
)

// A client that lists very many repositories does not keep all their tokens.
func TestTokensAreLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := regtest.New(regtest.ByName("gitlab"))
		r.Auth = &regtest.Auth{}
		c := &Client{Transport: new(regtest.Network).Handle("registry.example", r), Credentials: Anonymous}
		for i := range token.Max + 10 {
			name := fmt.Sprintf("a/r%d", i)
			r.Push(name, "1")
			_, err := c.ListTags(t.Context(), "registry.example/"+name)
			require.NoError(t, err)
			time.Sleep(time.Second)
		}
		assert.Less(t, c.auth.Len(), 200)
	})
}
