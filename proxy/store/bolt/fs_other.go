//go:build !linux

package bolt

func networkFilesystem(string) string { return "" }
