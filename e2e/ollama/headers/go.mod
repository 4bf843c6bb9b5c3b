module github.com/antiphon-proxy/antiphon/e2e/ollama/headers

go 1.26.0

require github.com/ollama/ollama v0.9.6 // indirect
