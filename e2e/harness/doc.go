// Package harness runs the real binary between a scripted model and the clients
// of a test, and watches what goes over the wire.
//
//	client → tap → antiphon → model
//
// The tap keeps every byte. When the test is over, each event stream that went
// through it is given to streamcheck, each object and error is checked, what
// was stored is compared with what was said, and the process must end by itself,
// with exit code 0, no race and no panic.
//
//	the binary: building, starting, stopping   build.go, process.go
//	the tap and the exchanges it has seen      tap.go, exchange.go
//	what must hold for all of them             check.go
//	all of it together, for a test             stage.go
//	goroutines and descriptors                 leak.go
package harness
