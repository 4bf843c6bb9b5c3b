// Package ollama runs the real binary in front of a real chat server: ollama, built from its Go module, with tiny models
// that this project makes itself (package ggufmake). Nothing here is scripted; what the tests expect is what the server
// and its models do, and what the proxy must make of it.
//
//	./run.sh                     builds both and runs the tests
//	./run.sh -run TestTools -v   one of them
//
// # Where is …?
//
//	starting and stopping both servers   servers_test.go, process_test.go
//	asking, and checking every answer    client_test.go
//	what is asked                        the other files, one for each subject
//	the models                           ggufmake
//	the server's pinned version          server/go.mod
//	headers that its module lacks        headers/go.mod, server/include
//
// Every event stream goes through streamcheck, and every response object; what a stream adds up to must be what its last
// event says.
package ollama
