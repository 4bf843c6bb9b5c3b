package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/antiphon-proxy/antiphon/config"
)

// runReplay takes an exchange that was recorded through the translator again:
// offline, with the reply that the backend gave, or against a backend.
func runReplay(c *command, args []string, stdout, stderr io.Writer) int {
	var against, keyEnv string
	var files []string
	fs := flag.NewFlagSet("antiphon replay", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() {
		fmt.Fprintf(stderr, "usage: antiphon replay %s\n\n%s.\n\n", c.args, c.what)
		fs.PrintDefaults()
	}
	fs.StringVar(&against, "against", "", "`URL` of a backend, with or without /v1, to ask anew")
	fs.StringVar(&keyEnv, "key-env", "", "`NAME` of the environment variable with the backend's key")
	for {
		if err := fs.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return exitOK
			}
			return exitUsage
		}
		if fs.NArg() == 0 {
			break
		}
		files, args = append(files, fs.Arg(0)), fs.Args()[1:]
	}
	if len(files) == 0 {
		fmt.Fprintln(stderr, "antiphon replay: name a file that antiphon record has made, or a golden case")
		return exitUsage
	}
	code := exitOK
	for _, path := range files {
		if err := replay(path, against, os.Getenv(keyEnv), stdout, stderr); err != nil {
			fmt.Fprintf(stderr, "antiphon replay: %s: %v\n", path, err)
			code = exitError
		}
	}
	return code
}

// replay shows both translations of one recorded exchange.
func replay(path, against, key string, stdout, stderr io.Writer) error {
	ar, err := txtar.ParseFile(path)
	if err != nil {
		return err
	}
	file := func(name string) []byte {
		for _, f := range ar.Files {
			if f.Name == name {
				return bytes.TrimSpace(f.Data)
			}
		}
		return nil
	}
	client := file("client.json")
	if client == nil {
		return errors.New("it has no client.json: this is no recording")
	}
	t := &translation{stdout: stdout, stderr: stderr}
	t.what, t.dialect, t.loss, t.explain = "request", "generic", "warn", true
	var overrides []string
	for line := range strings.Lines(string(file("options"))) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch name {
		case "dialect":
			t.dialect = value
		case "model":
			t.model = value
		case "loss":
			t.loss = value
		case "name_prefix":
			t.namePrefix = value == "true"
		case "final_only":
			t.finalOnly = value == "true"
		case "set":
			overrides = append(overrides, value)
		}
	}
	if err := t.open([]string{"-"}); err != nil {
		return err
	}
	if err := t.put(overrides); err != nil {
		return err
	}
	t.past, t.references = file("history.json"), file("references.json")
	t.from = apiOf("request", client)
	request, err := t.translateRequest(client)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "-- %s request --\n%s", t.other(), indentJSON(request))

	reply, kind := file("upstream.json"), "response"
	if sse := file("upstream.sse"); sse != nil {
		reply, kind = append(sse, "\n\n"...), "stream"
	}
	if against != "" {
		if against, err = endpoint(against, t.other()); err != nil {
			return err
		}
		if reply, kind, err = ask(against, key, request); err != nil {
			return err
		}
	} else if failed := file("upstream.err"); failed != nil {
		fmt.Fprintf(stdout, "-- the backend's error --\n%s\n", failed)
		t.table()
		return nil
	}
	if reply == nil {
		t.table()
		return nil
	}
	saved, err := os.CreateTemp("", "antiphon-replay-*.json")
	if err != nil {
		return err
	}
	defer os.Remove(saved.Name())
	_, err = saved.Write(client)
	if err := errors.Join(err, saved.Close()); err != nil {
		return err
	}
	t.request, t.what, t.pretty = saved.Name(), kind, true
	t.in, t.from = bytes.NewReader(reply), t.other()
	fmt.Fprintf(stdout, "-- what the client gets --\n")
	if err := t.run(); err != nil {
		return err
	}
	t.table()
	return nil
}

// endpoint is where a backend of that API is asked. The URL is one that --upstream
// takes, or that of the endpoint itself.
func endpoint(url, api string) (string, error) {
	path := "/chat/completions"
	if api == apiResponses {
		path = "/responses"
	}
	if before, _, _ := strings.Cut(url, "?"); strings.HasSuffix(strings.TrimRight(before, "/"), path) {
		return url, nil
	}
	u := config.Default().Upstream
	u.URL = url
	target, err := u.Target()
	if err != nil {
		return "", fmt.Errorf("--against: %w", err)
	}
	all := target.Scheme + "://" + target.Host + target.BasePath + path
	if target.Query != "" {
		all += "?" + target.Query
	}
	return all, nil
}

// ask sends a translated request to a backend.
func ask(url, key string, body []byte) (reply []byte, kind string, err error) {
	req, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body)) // a command's only request
	if err != nil {
		return nil, "", err
	}
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	reply, err = io.ReadAll(io.LimitReader(resp.Body, maxDocument))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("the backend answered with status %d: %s", resp.StatusCode, reply)
	}
	kind = "response"
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		kind = "stream"
	}
	return reply, kind, err
}
