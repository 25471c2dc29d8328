// Command ocitags lists by this library.
package main

import (
	"context"
	"flag"
	"net"
	"net/http"

	"github.com/ocitags/ocitags"
	"github.com/ocitags/ocitags/internal/bench/clients/measure"
)

func main() {
	concurrency := flag.Int("c", 0, "Client.Concurrency")
	n := flag.Int("n", 0, "Client.PageSize")
	stream := flag.Bool("stream", false, "count the tags of Tags, and keep none")
	as := flag.String("as", "", "the name of the registry, which is then found at the host of the arguments, by plain HTTP")
	prefix := flag.String("prefix", "", "list the tags with this prefix only")
	c := &ocitags.Client{Credentials: ocitags.Anonymous}
	list := func(ctx context.Context, host, repository string) (list []string, tags int, err error) {
		c.Concurrency, c.PageSize = *concurrency, *n
		if *as != "" {
			at := host
			host = *as
			c.PlainHTTP = func(string) bool { return true }
			c.Transport = &http.Transport{MaxIdleConnsPerHost: 8, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, at)
			}}
		}
		if !*stream && *prefix == "" {
			list, err = c.ListTags(ctx, host+"/"+repository)
			return list, len(list), err
		}
		for _, err := range c.TagsIn(ctx, host+"/"+repository, ocitags.Range{Prefix: *prefix}) {
			if err != nil {
				return nil, tags, err
			}
			tags++
		}
		return nil, tags, nil
	}
	measure.Main(list)
}
