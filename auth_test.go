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

// Only what reads our repository is asked for.
func TestReadScope(t *testing.T) {
	for scope, want := range map[string]string{
		"":                             "repository:a/b:pull",
		"*":                            "repository:a/b:pull",
		"repository:a/b:pull":          "repository:a/b:pull",
		"repository:a/b:pull,push":     "repository:a/b:pull",
		"repository:a/b:push,delete":   "repository:a/b:pull",
		"repository:a/b:*":             "repository:a/b:pull",
		"repository:a/b:metadata_read": "repository:a/b:metadata_read", // Azure
		"repository:a/b:pull repository:a/b:content_read,pull":                     "repository:a/b:pull,content_read",
		"repository:secret/x:pull":                                                 "repository:a/b:pull",
		"repository:user/image:pull":                                               "repository:a/b:pull", // ghcr.io's placeholder
		"repository:secret/x:pull repository:a/b:metadata_read registry:catalog:*": "repository:a/b:metadata_read",
	} {
		assert.Equal(t, want, readScope(scope, "a/b"), scope)
	}
}

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
