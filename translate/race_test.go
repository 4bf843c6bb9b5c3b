//go:build race

package translate

func init() { raceEnabled = true }
