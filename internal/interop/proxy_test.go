package interop

import (
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ocitags/ocitags"
)

// proxy stands in front of a server. What comes back over its k-th connection
// (1, 2, …) goes through back.
func proxy(t *testing.T, server string, back func(k int, to, from net.Conn)) (host string, connections *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	connections = new(atomic.Int32)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			k := int(connections.Add(1))
			wg.Go(func() {
				defer func() { _ = client.Close() }()
				upstream, err := net.Dial("tcp", server)
				if err != nil {
					return
				}
				defer func() { _ = upstream.Close() }()
				wg.Go(func() {
					_, _ = io.Copy(upstream, client)
					_ = upstream.(*net.TCPConn).CloseWrite()
				})
				back(k, client, upstream)
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	return l.Addr().String(), connections
}

// reset ends a connection with a RST, in the middle of whatever it carries.
func reset(conn net.Conn) { _ = conn.(*net.TCPConn).SetLinger(0) }

// A wire that cuts, resets, delays and trickles, before a real server.
func TestDistribution312BehindABadWire(t *testing.T) {
	s := serve(t, distribution(t, ""), nil)
	all := many(t)
	for name, back := range map[string]func(k int, to, from net.Conn){
		"cut before the headers": func(k int, to, from net.Conn) {
			if k%2 == 0 {
				_, _ = io.Copy(to, from)
			}
		},
		"cut in the headers": func(k int, to, from net.Conn) {
			if k%2 == 1 {
				from = limited{from, 60}
			}
			_, _ = io.Copy(to, from)
		},
		"cut in a body": func(k int, to, from net.Conn) {
			if k%2 == 1 {
				from = limited{from, 20_000}
			}
			_, _ = io.Copy(to, from)
		},
		"reset in a body": func(k int, to, from net.Conn) {
			if k%2 == 1 {
				_, _ = io.CopyN(to, from, 20_000)
				reset(to)
				return
			}
			_, _ = io.Copy(to, from)
		},
		"trickle": func(_ int, to, from net.Conn) {
			for buf := make([]byte, 700); ; {
				n, err := from.Read(buf)
				if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
					return
				}
				time.Sleep(time.Millisecond) // the fault itself
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			host, connections := proxy(t, s.host, back)
			retried := 0
			transport := &http.Transport{}
			defer transport.CloseIdleConnections() // or the proxy would wait for them
			c := &ocitags.Client{Transport: transport, PageSize: 1000, Credentials: ocitags.Anonymous, OnPage: func(p ocitags.Page) { retried += p.Attempts - 1 }}
			if name == "trickle" {
				c.Concurrency = 1 // or the next page is asked for while one trickles, over another connection
			}
			var got []string
			for tag, err := range c.Tags(t.Context(), host+"/"+repo) {
				require.NoError(t, err)
				got = append(got, tag)
			}
			assert.Equal(t, all, got)
			if name == "trickle" {
				assert.EqualValues(t, 1, connections.Load())
			} else {
				assert.Positive(t, retried)
			}
		})
	}
}

// limited ends after so many bytes.
type limited struct {
	net.Conn
	left int
}

func (l limited) WriteTo(w io.Writer) (int64, error) { return io.CopyN(w, l.Conn, int64(l.left)) }
