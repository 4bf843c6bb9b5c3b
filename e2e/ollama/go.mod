module github.com/antiphon-proxy/antiphon/e2e/ollama

go 1.26.0

require github.com/antiphon-proxy/antiphon v0.0.0

replace github.com/antiphon-proxy/antiphon => ../..
