// Command ggufmake writes the tiny chat models into a directory, with the Modelfiles to import them into ollama.
//
//	ggufmake [-dir DIR] [KIND ...]
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/antiphon-proxy/antiphon/e2e/ollama/ggufmake"
)

func main() {
	dir := flag.String("dir", ".", "where to write")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "usage: ggufmake [-dir DIR] [KIND ...]\n\nKinds: %v\n", ggufmake.Kinds)
		flag.PrintDefaults()
	}
	flag.Parse()
	kinds := ggufmake.Kinds
	if flag.NArg() > 0 {
		kinds = nil
		for _, name := range flag.Args() {
			kinds = append(kinds, ggufmake.Kind(name))
		}
	}
	for _, kind := range kinds {
		if err := write(os.Stdout, *dir, kind); err != nil {
			fmt.Fprintln(os.Stderr, "ggufmake:", err)
			os.Exit(1)
		}
	}
}

func write(out io.Writer, dir string, kind ggufmake.Kind) error {
	data, err := ggufmake.Make(kind)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	name := "tiny-" + string(kind) + ".gguf"
	if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
		return err
	}
	modelfile := filepath.Join(dir, "Modelfile."+string(kind))
	if err := os.WriteFile(modelfile, []byte(ggufmake.Modelfile(kind, "./"+name)), 0o600); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s %d bytes\n", filepath.Join(dir, name), len(data))
	return nil
}
