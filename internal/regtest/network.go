package regtest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
)

// A Network is an http.RoundTripper that has hosts in it and no wires: what a
// handler does, it does without a socket, so that tests can run in a
// testing/synctest bubble. Bodies stream, and end with the request's context.
type Network struct {
	mu    sync.Mutex
	hosts map[string]http.Handler
	sent  []*http.Request
}

// Handle lets h answer for host, which has a port where the URL has one. It
// returns the Network.
func (n *Network) Handle(host string, h http.Handler) *Network {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.hosts == nil {
		n.hosts = make(map[string]http.Handler)
	}
	n.hosts[host] = h
	return n
}

// Sent returns all requests so far, including those to hosts that do not exist.
func (n *Network) Sent() []*http.Request {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.sent)
}

// RoundTrip implements http.RoundTripper.
func (n *Network) RoundTrip(req *http.Request) (*http.Response, error) {
	n.mu.Lock()
	h := n.hosts[req.URL.Host]
	n.sent = append(n.sent, req)
	n.mu.Unlock()
	if h == nil {
		return nil, fmt.Errorf("no host %q in this network", req.URL.Host)
	}
	in, err := received(req)
	if err != nil {
		return nil, err
	}

	body, feed := io.Pipe()
	w := &pipeWriter{body: feed, header: make(http.Header), ready: make(chan *http.Response, 1), req: req, from: body}
	go func() {
		defer func() {
			switch p := recover(); {
			case p == http.ErrAbortHandler:
				_ = feed.CloseWithError(io.ErrUnexpectedEOF)
				close(w.ready)
			case p != nil:
				panic(p)
			default:
				w.WriteHeader(http.StatusOK)
				_ = feed.Close()
			}
		}()
		h.ServeHTTP(w, in)
	}()
	select {
	case resp := <-w.ready:
		if resp == nil {
			return nil, io.EOF
		}
		// A pipe does not know of contexts; a connection is closed by them.
		stop := make(chan struct{})
		resp.Body = &pipeBody{PipeReader: body, ctx: req.Context(), stop: sync.OnceFunc(func() { close(stop) })}
		go func() {
			select {
			case <-req.Context().Done():
				_ = body.CloseWithError(req.Context().Err())
			case <-stop:
			}
		}()
		return resp, nil
	case <-req.Context().Done():
		_ = body.CloseWithError(req.Context().Err())
		return nil, req.Context().Err()
	}
}

// received returns a request as its server sees it.
func received(req *http.Request) (*http.Request, error) {
	at, err := url.ParseRequestURI(req.URL.String())
	if err != nil {
		return nil, err
	}
	in := req.Clone(req.Context())
	in.URL, in.Host, in.RequestURI, in.RemoteAddr = at, at.Host, req.URL.String(), "192.0.2.1:1234" // of RFC 5737
	if in.Body == nil {
		in.Body = http.NoBody
	}
	return in, nil
}

type pipeBody struct {
	*io.PipeReader
	ctx  context.Context
	stop func()
}

func (b *pipeBody) Read(p []byte) (int, error) {
	n, err := b.PipeReader.Read(p)
	if err != nil {
		b.stop()
	}
	if err == io.ErrClosedPipe && b.ctx.Err() != nil {
		err = b.ctx.Err()
	}
	return n, err
}

func (b *pipeBody) Close() error {
	b.stop()
	return b.PipeReader.Close()
}

type pipeWriter struct {
	body   *io.PipeWriter
	from   *io.PipeReader
	header http.Header
	ready  chan *http.Response
	req    *http.Request
	sent   bool
}

func (w *pipeWriter) Header() http.Header { return w.header }

func (w *pipeWriter) WriteHeader(status int) {
	if w.sent {
		return
	}
	w.sent = true
	w.ready <- &http.Response{
		Status: fmt.Sprintf("%d %s", status, http.StatusText(status)), StatusCode: status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.header.Clone(), Body: w.from, ContentLength: -1, Request: w.req,
	}
}

func (w *pipeWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}
