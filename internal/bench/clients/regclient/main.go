// Command regclient lists by github.com/regclient/regclient.
package main

import (
	"context"

	"github.com/regclient/regclient"
	"github.com/regclient/regclient/config"
	"github.com/regclient/regclient/types/ref"

	"github.com/ocitags/ocitags/internal/bench/clients/measure"
)

func main() {
	measure.Main(func(ctx context.Context, host, repository string) ([]string, int, error) {
		r, err := ref.New(host + "/" + repository)
		if err != nil {
			return nil, 0, err
		}
		at := config.HostNewName(host)
		at.TLS = config.TLSDisabled
		list, err := regclient.New(regclient.WithConfigHost(*at)).TagList(ctx, r)
		if err != nil {
			return nil, 0, err
		}
		tags, err := list.GetTags()
		return tags, len(tags), err
	})
}
