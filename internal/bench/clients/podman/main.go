//go:build containers_image_openpgp

// Command podman lists by go.podman.io/image, which skopeo and Podman use. It is
// built with a tag of that library, without which it needs a C library.
package main

import (
	"context"

	"go.podman.io/image/v5/docker"
	"go.podman.io/image/v5/types"

	"github.com/ocitags/ocitags/internal/bench/clients/measure"
)

func main() {
	measure.Main(func(ctx context.Context, host, repository string) ([]string, int, error) {
		ref, err := docker.ParseReference("//" + host + "/" + repository)
		if err != nil {
			return nil, 0, err
		}
		tags, err := docker.GetRepositoryTags(ctx, &types.SystemContext{
			DockerInsecureSkipTLSVerify: types.OptionalBoolTrue,
			DockerAuthConfig:            &types.DockerAuthConfig{},
		}, ref)
		return tags, len(tags), err
	})
}
