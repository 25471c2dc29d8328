package token

import (
	"testing"

	"github.com/stretchr/testify/assert"
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
		assert.Equal(t, want, ReadScope(scope, "a/b"), scope)
	}
}
