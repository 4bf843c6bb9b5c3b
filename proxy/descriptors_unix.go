//go:build unix

package proxy

import (
	"math"
	"syscall"
)

// descriptorLimit raises the soft limit of open files to the hard one, and returns
// it; 0 is no limit. The Go runtime has raised it already where the program was
// started with an ordinary one, but not if that had been changed since.
func descriptorLimit() int {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil {
		return 0
	}
	if l.Cur < l.Max {
		raised := l
		raised.Cur = raised.Max
		if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised) == nil {
			l = raised
		}
	}
	if l.Cur > math.MaxInt32 {
		return 0
	}
	return int(l.Cur)
}
