package main

import (
	"bytes"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/antiphon-proxy/antiphon/config"
	"github.com/antiphon-proxy/antiphon/internal/goldencase"
	"github.com/antiphon-proxy/antiphon/translate"
	"github.com/antiphon-proxy/antiphon/translate/sse"
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

// replay shows both translations of one recorded exchange. What the recording says
// went wrong is no error.
func replay(path, against, key string, stdout, stderr io.Writer) error {
	c, err := goldencase.Load(path)
	if err != nil {
		return err
	}
	o := c.Options
	t := &translation{stdout: stdout, stderr: stderr, recorded: o}
	t.what, t.dialect, t.loss, t.explain = "request", o.Dialect, cmp.Or(o.Loss, "warn"), true
	t.model, t.namePrefix, t.finalOnly = o.Model, o.NamePrefix, o.FinalOnly
	if !o.Unsealed {
		t.sealer = goldencase.Sealer{}
	}
	if err := t.open([]string{"-"}); err != nil {
		return err
	}
	if err := t.put(o.Set); err != nil {
		return err
	}
	client := bytes.TrimSpace(c.File("client.json"))
	t.past, t.references = c.File("history.json"), c.File("references.json")
	t.from = apiResponses
	if c.Arrow == goldencase.ChatResponses {
		t.from = apiChat
	}
	if c.Arrow == goldencase.ResponsesResponses {
		return t.completed(c, client)
	}
	if c.File("kept.json") != nil {
		fmt.Fprintln(stderr, "kept.json is not replayed: there is no store that has kept reasoning.")
	}
	request, err := t.translateRequest(bytes.Clone(client))
	if refused := (*translate.Error)(nil); errors.As(err, &refused) && c.Refused() {
		fmt.Fprintf(stdout, "-- the request is refused, as recorded --\n%s\n", refused.AppendBody(nil))
		t.table()
		return nil
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "-- %s request --\n%s", t.other(), indentJSON(request))

	reply, kind := bytes.TrimSpace(c.File("upstream.json")), "response"
	if sse := c.File("upstream.sse"); sse != nil {
		reply, kind = append(bytes.TrimSpace(sse), "\n\n"...), "stream"
	}
	if against != "" {
		if against, err = endpoint(against, t.other()); err != nil {
			return err
		}
		if reply, kind, err = ask(against, key, request); err != nil {
			return err
		}
	} else if failed := c.File("upstream.err"); failed != nil {
		fmt.Fprintf(stdout, "-- the backend's error --\n%s\n", bytes.TrimSpace(failed))
		t.table()
		return nil
	}
	if len(reply) == 0 {
		t.table()
		return nil
	}
	t.client, t.what, t.pretty = client, kind, true
	t.in, t.from = bytes.NewReader(reply), t.other()
	fmt.Fprintf(stdout, "-- what the client gets --\n")
	err = t.run()
	if failure := (*translate.Error)(nil); errors.As(err, &failure) { // what the client gets is that error
		fmt.Fprintf(stdout, "%s\n", failure.AppendBody(nil))
	} else if err != nil {
		return err
	}
	t.table()
	return nil
}

// completed shows what a Responses client gets of a Responses backend's answer that
// is completed on the way.
func (t *translation) completed(c *goldencase.Case, client []byte) error {
	var r translate.Request
	if err := r.Parse(bytes.Clone(client), translate.RequestLimits{}); err != nil {
		return err
	}
	stream := c.File("upstream.sse")
	var turn translate.ResponsesTurn
	turn.Reset(translate.TurnOptions{Request: &r, Dialect: &t.d, Events: stream != nil, Losses: &t.losses}, t.recorded.OwnIDs)
	out := turn.Begin(nil)
	if stream == nil {
		turn.FeedMessage(out, bytes.TrimSpace(c.File("upstream.json")))
		out = indentJSON(turn.Response(nil, 0, false))
	} else {
		var events sse.Decoder
		events.Feed(bytes.Clone(stream))
		for e, ok := events.Next(); ok; e, ok = events.Next() {
			out = turn.Feed(out, e.Name, e.Data)
		}
		if e, ok := events.Finish(); ok {
			out = turn.FeedLast(out, e.Name, e.Data)
		}
		out = turn.Terminal(turn.Finish(out), 0, false, false)
	}
	fmt.Fprintf(t.stdout, "-- what the client gets --\n%s", out)
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
