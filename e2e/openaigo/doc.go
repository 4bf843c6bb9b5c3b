// Package openaigo runs OpenAI's Go client against the real binary. There is
// nothing here but tests.
package openaigo
