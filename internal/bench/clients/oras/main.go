// Command oras lists by oras.land/oras-go/v2.
package main

import (
	"context"

	"oras.land/oras-go/v2/registry/remote"

	"github.com/ocitags/ocitags/internal/bench/clients/measure"
)

func main() {
	measure.Main(func(ctx context.Context, host, repository string) ([]string, int, error) {
		repo, err := remote.NewRepository(host + "/" + repository)
		if err != nil {
			return nil, 0, err
		}
		repo.PlainHTTP = true
		var all []string
		err = repo.Tags(ctx, "", func(tags []string) error {
			all = append(all, tags...)
			return nil
		})
		return all, len(all), err
	})
}
