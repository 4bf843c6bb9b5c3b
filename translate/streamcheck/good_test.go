package streamcheck

import (
	"strings"
	"sync"
)

func tok(s string, bytes ...any) obj {
	return obj{"token": s, "logprob": -0.25, "bytes": append(list{}, bytes...),
		"top_logprobs": list{obj{"token": s, "logprob": -0.25, "bytes": append(list{}, bytes...)}}}
}

func urlCitation(url string) obj {
	return obj{"type": "url_citation", "url": url, "title": "T", "start_index": 0, "end_index": 2}
}

// good returns a copy of one legal stream, nil when there is none of that name.
func good(name string) *story {
	s := pristine()[name]
	if s == nil {
		return nil
	}
	c := &story{resp: clone(s.resp), output: clone(s.output), opt: s.opt, suffix: s.suffix}
	for _, e := range s.events {
		c.events = append(c.events, ev{body: clone(e.body), name: e.name, noSeq: e.noSeq})
	}
	return c
}

var pristine = sync.OnceValue(goodStreams)

// goodStreams builds a fresh copy of every legal stream, by name: each family of docs/PROTOCOL.md §4.6 and each hosted tool's ladder.
func goodStreams() map[string]*story {
	all := map[string]*story{}
	add := func(name string, s *story) { all[name] = s }

	add("text", begin().text("Hel", "lo", " <&> \u2028 é 😀 \" \\").completed())
	add("empty answer", begin().text().completed())
	add("message without parts", begin().message("completed", func(obj, int) {}).completed())
	add("no items", begin().completed())
	add("logprobs", func() *story {
		s := begin()
		return s.message("completed", func(m obj, oi int) {
			s.textPart(m, oi, []list{{tok("A", 65)}, {tok("B", 66), tok("é", 195, 169)}}, nil, "A", "Bé")
		}).completed()
	}())
	add("logprobs without bytes in events", func() *story {
		s := begin()
		s.message("completed", func(m obj, oi int) { s.textPart(m, oi, []list{{tok("A", 65)}}, nil, "A") }).completed()
		for _, e := range s.events {
			if e.typ() == "response.output_text.delta" {
				lp := e.body["logprobs"].(list)[0].(obj)
				delete(lp, "bytes")
				lp["top_logprobs"] = list{obj{"token": "A", "logprob": -0.25}}
			}
		}
		return s
	}())
	add("annotations", func() *story {
		s := begin()
		return s.message("completed", func(m obj, oi int) {
			s.textPart(m, oi, nil, list{urlCitation("https://a"), obj{"type": "file_citation", "file_id": "file_1", "filename": "a", "index": 0},
				obj{"type": "container_file_citation", "container_id": "c", "file_id": "f", "filename": "n", "start_index": 0, "end_index": 1},
				obj{"type": "file_path", "file_id": "f", "index": 1}}, "So")
		}).completed()
	}())
	add("phase", func() *story {
		s := begin()
		s.text("thinking aloud").text("answer").completed()
		for _, e := range s.events {
			for _, item := range append(list{e.body["item"]}, outputOf(e)...) {
				if m, ok := item.(obj); ok {
					m["phase"] = "commentary"
					if m["id"] == "msg_1" {
						m["phase"] = "final_answer"
					}
				}
			}
		}
		return s
	}())
	add("refusal", func() *story {
		s := begin()
		return s.message("completed", func(m obj, oi int) { s.refusalPart(m, oi, "I can", "not") }).completed()
	}())
	add("text then refusal", func() *story {
		s := begin()
		return s.message("completed", func(m obj, oi int) {
			s.textPart(m, oi, nil, nil, "Well, ")
			s.refusalPart(m, oi, "no")
		}).completed()
	}())
	add("function call", begin().call("function_call", "completed", `{"a"`, `:"\ud83d`, ` x"}`).completed())
	add("function call without arguments", begin().call("function_call", "completed").completed())
	add("parallel calls", begin().call("function_call", "completed", "{}").call("function_call", "completed", "{", "}").completed())
	add("interleaved calls", func() *story {
		s := begin()
		a := s.open(callItem(0, "function_call"))
		b := s.open(callItem(1, "function_call"))
		s.callDeltas(a, `{"a":`)
		s.callDeltas(b, `{"b":`)
		s.callDeltas(a, `1}`)
		s.callDeltas(b, `2}`)
		return s.callDone(b, "completed", `{"b":2}`).callDone(a, "completed", `{"a":1}`).completed()
	}())
	add("namespaced call", func() *story {
		s := begin()
		item := callItem(0, "function_call")
		item["namespace"] = "mcp__demo"
		oi := s.open(item)
		s.callDeltas(oi, "{}")
		return s.callDone(oi, "completed", "{}").completed()
	}())
	add("namespaced custom call", func() *story {
		s := begin()
		item := callItem(0, "custom_tool_call")
		item["namespace"] = "functions"
		oi := s.open(item)
		s.callDeltas(oi, "text(", "1)\n😀")
		return s.callDone(oi, "completed", "text(1)\n😀").completed()
	}())
	add("custom call cut", begin().call("custom_tool_call", "incomplete", "SEL").incomplete("max_output_tokens"))
	add("failed in a custom call", func() *story {
		s := begin()
		item := callItem(0, "custom_tool_call")
		oi := s.open(item)
		s.callDeltas(oi, "SEL")
		item = clone(item)
		item["input"], item["status"] = "SEL", "incomplete"
		return s.nestedError().failed(map[int]obj{oi: item})
	}())
	add("text, call, text", begin().text("Let me see.").call("function_call", "completed", "{}").text("Done.").completed())
	add("custom call", begin().call("custom_tool_call", "completed", "SELECT ", "1").completed())

	add("reasoning summary", func() *story {
		s := begin()
		return s.reasoning(nil, func(r obj, oi int) {
			s.summaryPart(r, oi, "**Plan**", " a")
			s.summaryPart(r, oi, "then b")
		}).text("ok").completed()
	}())
	add("reasoning raw", func() *story {
		s := begin()
		return s.reasoning(obj{"content": list{}, "status": "in_progress"}, func(r obj, oi int) {
			s.rawPart(r, oi, "response.reasoning_text", "hm", "m")
			r["status"] = "completed"
			r["encrypted_content"] = "v1.abc"
		}).text("ok").completed()
	}())
	add("reasoning both", func() *story {
		s := begin()
		return s.reasoning(obj{"content": list{}}, func(r obj, oi int) {
			s.summaryPart(r, oi, "short")
			s.rawPart(r, oi, "response.reasoning_text", "long")
		}).completed()
	}())
	add("reasoning empty", begin().reasoning(obj{"encrypted_content": "v1.x"}, func(r obj, _ int) { r["encrypted_content"] = "v1.y" }).text("ok").completed())
	add("summary part cut", func() *story {
		s := begin()
		s.reasoning(obj{"status": "in_progress"}, func(r obj, oi int) { s.summaryPart(r, oi, "cut he"); r["status"] = "incomplete" })
		s.incomplete("max_output_tokens")
		nth(s.events, "response.reasoning_summary_part.done", 0).body["status"] = "incomplete"
		return s
	}())

	add("incomplete by length", func() *story {
		s := begin()
		return s.message("incomplete", func(m obj, oi int) { s.textPart(m, oi, nil, nil, "Once up") }).incomplete("max_output_tokens")
	}())
	add("incomplete in a call", begin().text("ok").call("function_call", "incomplete", `{"a`).incomplete("max_output_tokens"))
	add("incomplete without items", begin().incomplete("content_filter"))
	add("incomplete after whole items", begin().text("ok").incomplete("max_messages"))

	add("failed with nested error", begin().nestedError().failed(nil))
	add("failed with flat error", begin().flatError().failed(nil))
	add("failed without error event", begin().text("part one").failed(nil))
	add("failed in a text", func() *story {
		s := begin().text("whole")
		m := obj{"id": "msg_1", "type": "message", "status": "in_progress", "role": "assistant", "content": list{}}
		oi := s.open(m)
		part := obj{"type": "output_text", "text": "", "annotations": list{}, "logprobs": list{}}
		s.emit("response.content_part.added", at("msg_1", oi, obj{"content_index": 0, "part": part}))
		s.emit("response.output_text.delta", at("msg_1", oi, obj{"content_index": 0, "delta": "hal", "logprobs": list{}}))
		m, part = clone(m), clone(part)
		part["text"], m["content"], m["status"] = "hal", list{part}, "incomplete"
		return s.nestedError().failed(map[int]obj{oi: m})
	}())
	add("failed in a call", func() *story {
		s := begin()
		item := callItem(0, "function_call")
		oi := s.open(item)
		s.callDeltas(oi, `{"a":`)
		item = clone(item)
		item["arguments"], item["status"] = `{"a":`, "incomplete"
		return s.nestedError().failed(map[int]obj{oi: item})
	}())
	add("failed in a reasoning", func() *story {
		s := begin()
		r := obj{"id": "rs_0", "type": "reasoning", "summary": list{}}
		oi := s.open(r)
		s.emit("response.reasoning_summary_part.added", at("rs_0", oi, obj{"summary_index": 0, "part": obj{"type": "summary_text", "text": ""}}))
		s.emit("response.reasoning_summary_text.delta", at("rs_0", oi, obj{"summary_index": 0, "delta": "abc"}))
		r = clone(r)
		r["status"], r["summary"] = "incomplete", list{obj{"type": "summary_text", "text": "abc"}}
		return s.failed(map[int]obj{oi: r})
	}())

	add("background", beginBackground().lifecycle("response.in_progress", "in_progress").text("later").completed())
	add("background failed in the queue", beginBackground().nestedError().failed(nil))

	addHosted(add)

	add("open responses", func() *story {
		s := begin()
		s.opt, s.suffix = Options{OpenResponses: true}, "data: [DONE]\n\n"
		return s.reasoning(obj{"content": list{}}, func(r obj, oi int) {
			s.rawPart(r, oi, "response.reasoning", "hm")
		}).text("ok").completed()
	}())
	add("open responses failure", func() *story {
		s := begin().nestedError().failed(nil)
		s.opt, s.suffix = Options{OpenResponses: true}, "data: [DONE]\n\n"
		return s
	}())
	add("done marker", func() *story {
		s := begin().text("ok").completed()
		s.opt, s.suffix = Options{AllowDone: true}, "data: [DONE]\n\n"
		return s
	}())
	return all
}

func outputOf(e ev) list {
	resp, _ := e.body["response"].(obj)
	out, _ := resp["output"].(list)
	return out
}

// nth finds the n-th event whose type ends in typ.
func nth(events []ev, typ string, n int) ev {
	for _, e := range events {
		if strings.HasSuffix(e.typ(), typ) {
			if n == 0 {
				return e
			}
			n--
		}
	}
	panic("no event " + typ)
}
