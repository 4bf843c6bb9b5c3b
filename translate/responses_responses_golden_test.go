package translate

import "testing"

func mendCases(tb testing.TB) []*goldenCase { return nil }
