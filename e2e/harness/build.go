package harness

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
)

// BinaryEnv names an environment variable with the path of a binary to test
// instead of building one.
const BinaryEnv = "ANTIPHON_E2E_BINARY"

// Binary returns the path of the binary, which is built with the race detector
// once for each test process.
var Binary = sync.OnceValues(func() (string, error) {
	if path := os.Getenv(BinaryEnv); path != "" {
		return path, nil
	}
	dir, err := os.MkdirTemp("", "antiphon-e2e-")
	if err != nil {
		return "", err
	}
	buildDir = dir
	path := filepath.Join(dir, "antiphon")
	cmd := exec.Command("go", "build", "-race", "-o", path, "./cmd/antiphon")
	if cmd.Dir, err = productDir(); err != nil {
		return "", err
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./cmd/antiphon: %w\n%s", err, out)
	}
	return path, nil
})

var buildDir string

// RemoveBinary removes what Binary has built. Call it at the end of TestMain.
func RemoveBinary() {
	if buildDir != "" {
		_ = os.RemoveAll(buildDir)
	}
}

// productDir is the directory of the product's module: the one above e2e.
func productDir() (string, error) {
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		return "", errors.New("the source of the harness cannot be found")
	}
	dir := filepath.Dir(filepath.Dir(filepath.Dir(file)))
	if _, err := os.Stat(filepath.Join(dir, "cmd", "antiphon")); err != nil {
		return "", fmt.Errorf("the product is not above e2e: %w", err)
	}
	return dir, nil
}
