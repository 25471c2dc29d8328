// Command ggcr lists by github.com/google/go-containerregistry.
package main

import (
	"context"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/ocitags/ocitags/internal/bench/clients/measure"
)

func main() {
	measure.Main(func(ctx context.Context, host, repository string) ([]string, int, error) {
		repo, err := name.NewRepository(host+"/"+repository, name.Insecure)
		if err != nil {
			return nil, 0, err
		}
		tags, err := remote.List(repo, remote.WithContext(ctx), remote.WithAuth(authn.Anonymous))
		return tags, len(tags), err
	})
}
