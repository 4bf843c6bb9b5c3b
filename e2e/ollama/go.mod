module antiphon/e2e/ollama

go 1.26.0

require antiphon v0.0.0

replace antiphon => ../..
