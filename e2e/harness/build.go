package harness

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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

// productDir is the directory of the product's module: one above the directory that
// a test or stage runs in.
func productDir() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "cmd", "antiphon")); err == nil {
			return dir, nil
		}
		above := filepath.Dir(dir)
		if above == dir {
			return "", errors.New("the product is not above the working directory")
		}
		dir = above
	}
}
