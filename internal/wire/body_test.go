package wire

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ocitags/ocitags/internal/ocierr"
)

// A body is bounded whatever it holds, and however it was packed.
func TestBodyBound(t *testing.T) {
	for name, body := range map[string]string{
		"tags":   `{"tags":["a"` + strings.Repeat(`,"a"`, 10_000),
		"fields": `{"x":[1` + strings.Repeat(`,1`, 20_000),
	} {
		c := client(t, &script{{status: 200, body: body}})
		c.MaxBody = 30_000
		_, err := c.Get(t.Context(), Request{URL: home}, new(kept))
		require.ErrorIs(t, err, ocierr.ErrTooLarge, name)
		assert.Contains(t, err.Error(), "one answer of more than 30000 bytes", name)
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = io.WriteString(z, `{"tags":["a"`+strings.Repeat(`,"a"`, 10_000)+"]}")
	require.NoError(t, z.Close())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(packed.Bytes())
	}))
	defer server.Close()
	at, err := url.Parse(server.URL)
	require.NoError(t, err)
	for bound, want := range map[int64]error{30_000: ocierr.ErrTooLarge, 0: nil} {
		c := client(t, server.Client().Transport)
		c.Home, c.Carrier, c.MaxBody = at, NewCarrier(at, Pools{Own: server.Client().Transport}, 1), bound
		c.Authorized = c.Carrier
		_, err := c.Get(t.Context(), Request{URL: at}, new(kept))
		require.ErrorIs(t, err, want, fmt.Sprint(bound))
	}
}
