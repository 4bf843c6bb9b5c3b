// Package streamcheck
package streamcheck
