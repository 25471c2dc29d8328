package main

import (
	"os"
	"syscall"
	"time"
	"unsafe"
)

var (
	// pipeWait is how long the reader of a pipe is given to take what is in it. Some
	// begin to read when they like.
	pipeWait = time.Second

	// headWait is how long one that has taken it is given to end, as head does that
	// has its lines.
	headWait = 5 * time.Millisecond
)

// awaitReader waits until what was written to a pipe is taken, and reports whether its
// reader has gone. Anything else has no reader to wait for.
func awaitReader(f *os.File) (gone bool) {
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		return false
	}
	for end := time.Now().Add(pipeWait); !hasNoReader(f, 0) && unread(f) > 0 && time.Now().Before(end); {
		if hasNoReader(f, time.Millisecond) {
			return true
		}
	}
	return hasNoReader(f, headWait)
}

// unread returns how many bytes are in a pipe (pipe(7), FIONREAD).
func unread(f *os.File) int {
	const fionread = 0x541b
	var n int32
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), fionread, uintptr(unsafe.Pointer(&n)))
	if errno != 0 {
		return 0
	}
	return int(n)
}

// hasNoReader reports whether nobody reads from a pipe any more, or will within a time
// (poll(2), POLLERR).
func hasNoReader(f *os.File, within time.Duration) bool {
	const pollerr = 8
	poll := struct {
		fd              int32
		events, revents int16
	}{fd: int32(f.Fd())}
	wait := syscall.NsecToTimespec(int64(within))
	n, _, errno := syscall.Syscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&poll)), 1, uintptr(unsafe.Pointer(&wait)), 0, 0, 0)
	return errno == 0 && n == 1 && poll.revents&pollerr != 0
}
