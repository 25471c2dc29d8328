// Command cuelabs lists by cuelabs.dev/go/oci/ociregistry.
package main

import (
	"context"

	"cuelabs.dev/go/oci/ociregistry/ociclient"

	"github.com/ocitags/ocitags/internal/bench/clients/measure"
)

func main() {
	measure.Main(func(ctx context.Context, host, repository string) ([]string, int, error) {
		r, err := ociclient.New(host, &ociclient.Options{Insecure: true})
		if err != nil {
			return nil, 0, err
		}
		var all []string
		for tag, err := range r.Tags(ctx, repository, "") {
			if err != nil {
				return all, len(all), err
			}
			all = append(all, tag)
		}
		return all, len(all), nil
	})
}
