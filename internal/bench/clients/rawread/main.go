// Command rawread reads one answer and counts its quotes: the least that any
// client has to do.
package main

import (
	"bytes"
	"context"
	"io"
	"net/http"

	"github.com/ocitags/ocitags/internal/bench/clients/measure"
)

func main() {
	measure.Main(func(ctx context.Context, host, repository string) ([]string, int, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host+"/v2/"+repository+"/tags/list", nil)
		if err != nil {
			return nil, 0, err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return nil, 0, err
		}
		defer func() { _ = resp.Body.Close() }()
		quotes := 0
		for buf := make([]byte, 64<<10); ; {
			n, err := resp.Body.Read(buf)
			quotes += bytes.Count(buf[:n], []byte{'"'})
			if err == io.EOF {
				return nil, (quotes - 6) / 2, nil // those of "name", its value and "tags"
			}
			if err != nil {
				return nil, 0, err
			}
		}
	})
}
