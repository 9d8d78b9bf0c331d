package docker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// DialContext connects to an address as programs beside the engine do: an engine of our own has a network of its own.
func (engine *Engine) DialContext(ctx context.Context, network, address string) (_ net.Conn, err error) {
	if engine.daemon == nil {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	runtime.LockOSThread() // a thread is in one network at a time, and a socket stays in the one that it was made in
	own, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, err
	}
	defer own.Close()
	engines, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", engine.daemon.Process.Pid))
	if err != nil {
		return nil, err
	}
	defer engines.Close()
	if err := unix.Setns(int(engines.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, err
	}
	defer func() {
		back := unix.Setns(int(own.Fd()), unix.CLONE_NEWNET)
		if back == nil {
			runtime.UnlockOSThread() // else the thread ends with this goroutine
		}
		err = errors.Join(err, back)
	}()
	return (&net.Dialer{}).DialContext(ctx, network, address)
}
