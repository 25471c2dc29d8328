// Package conformance has the tests of the library through its public face: at modelled
// and recorded registries, at servers that are generated, broken or hostile.
package conformance

import (
	"runtime/debug"
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails the tests if one of them leaves a goroutine behind. They allocate much and
// keep little, so that the garbage is collected less often than usual.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400)
	goleak.VerifyTestMain(m)
}
