package interop

import (
	"net/http"
	"sync"
)

// A counter counts the requests for tag lists.
type counter struct {
	http.Handler
	mu       sync.Mutex
	requests int
}

func (c *counter) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	c.mu.Lock()
	c.requests++
	c.mu.Unlock()
	c.Handler.ServeHTTP(w, req)
}
