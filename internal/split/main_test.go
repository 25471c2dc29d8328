package split

import (
	"os"
	"runtime/debug"
	"testing"
)

func TestMain(m *testing.M) {
	debug.SetGCPercent(400) // the lists are large, and all are garbage in the end
	os.Exit(m.Run())
}
