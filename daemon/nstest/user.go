package nstest

import (
	"runtime"
	"sync"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// As calls f on a thread that belongs to another user and to these groups, of which there is at least one, and waits
// for it. The kernel treats what f does as done by that user.
func As(t testing.TB, uid int, groups []uint32, f func()) {
	t.Helper()
	Require(t) // only root can become others
	var wg sync.WaitGroup
	wg.Go(func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		id, gid := uintptr(uid), uintptr(groups[0])
		for _, call := range [][4]uintptr{ // the functions of package unix change all threads
			{unix.SYS_SETGROUPS, uintptr(len(groups)), uintptr(unsafe.Pointer(&groups[0]))},
			{unix.SYS_SETRESGID, gid, gid, gid},
			{unix.SYS_SETRESUID, id, id, id},
		} {
			if _, _, errno := unix.RawSyscall(call[0], call[1], call[2], call[3]); errno != 0 {
				t.Errorf("become uid %d: %v", uid, errno)
				return
			}
		}
		f()
	})
	wg.Wait()
}
