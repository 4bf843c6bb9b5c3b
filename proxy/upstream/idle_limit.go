package upstream

import (
	"bytes"
	"strconv"
	"time"
)

// Bounds of what is assumed of a backend.
const (
	// firstIdle is how long a connection may have been idle to be used again while
	// nothing is known about the backend.
	firstIdle = 50 * time.Millisecond
	// closeMemory is how long the age at which a backend closed a connection counts,
	// whatever is seen of other connections.
	closeMemory = 30 * time.Second
	// earlyCloses are needed, at different times, to believe that a backend closes
	// connections much earlier than it did so far: a restart closes some of any age.
	earlyCloses = 3
	// watched is how many connections that are too old for use stay open, once it is
	// known when the backend closes them, to see whether that is still so.
	watched = 16
)

// idleLimit is what is known about how long a backend lets a connection be idle.
// Whoever sends at the moment in which the backend closes the connection may
// lose the request: the backend's system may have taken it, and nobody can tell
// whether the backend has. So no connection is used that is near that age. It is
// learned from connections that stay in the pool without being used.
type idleLimit struct {
	proven    time.Duration // the longest age at which a connection was seen open
	closed    time.Duration // the shortest age at which the backend closed one; 0 if it is not known
	closedAt  time.Time     // when that was seen last
	early     int           // closes much earlier than proven, at different times
	earlyLast time.Time
}

// share is the part of a backend's limit up to which a connection is used.
func share(d time.Duration) time.Duration { return d / 5 * 4 }

// usable is how long a connection may have been idle to be used for a request.
// hint is what the backend said in its Keep-Alive header, 0 if nothing.
func (l *idleLimit) usable(hint time.Duration) time.Duration {
	limit := max(firstIdle, share(l.proven))
	if hint > 0 {
		limit = share(hint)
	}
	if l.closed > 0 {
		limit = min(limit, share(l.closed))
	}
	return limit
}

// known reports whether there is evidence of when the backend closes connections.
func (l *idleLimit) known() bool { return l.closed > 0 }

// sawOpen notes that a connection that has been idle for so long is open.
func (l *idleLimit) sawOpen(age time.Duration, now time.Time) {
	if l.closed > 0 && age > l.closed+l.closed/4+10*time.Millisecond && now.Sub(l.closedAt) > closeMemory {
		l.closed = 0
	}
	l.proven = max(l.proven, age)
}

// sawClosed notes that the backend closed a connection that had been idle for so
// long.
func (l *idleLimit) sawClosed(age time.Duration, now time.Time) {
	age = max(age, time.Millisecond)
	if age < l.proven/2 && (l.closed == 0 || age < l.closed/2) {
		if now.Sub(l.earlyLast) > 100*time.Millisecond {
			l.early++
			l.earlyLast = now
		}
		if l.early < earlyCloses {
			return
		}
	}
	l.early = 0
	if l.closed == 0 || age < l.closed {
		l.closed = age
	}
	l.closedAt = now
	l.proven = min(l.proven, age)
}

// keepAliveHint is for how long a backend says that it keeps an idle connection:
// the timeout of its Keep-Alive header ("timeout=5, max=100"), 0 if it does not
// say.
func keepAliveHint(header []byte) time.Duration {
	for field := range bytes.SplitSeq(header, []byte{','}) {
		name, value, _ := bytes.Cut(bytes.TrimSpace(field), []byte{'='})
		if !bytes.EqualFold(name, []byte("timeout")) {
			continue
		}
		if n, err := strconv.ParseUint(string(value), 10, 16); err == nil && n > 0 {
			return time.Duration(n) * time.Second
		}
	}
	return 0
}
