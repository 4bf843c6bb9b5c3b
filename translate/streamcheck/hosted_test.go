package streamcheck

import "maps"

// addHosted adds the streams of items other than message, reasoning, function_call and custom_tool_call, in the shape
// the live service was seen to send.
func addHosted(add func(string, *story)) {
	// each is an item that opens, has some status events and closes.
	each := func(name string, added, more obj, events ...string) {
		done := clone(added)
		maps.Copy(done, more)
		add(name, begin().hosted(added, done, events...).completed())
	}
	progress := func(tool string, steps ...string) (types []string) {
		for _, step := range steps {
			types = append(types, "response."+tool+"."+step)
		}
		return types
	}

	each("web search", obj{"id": "ws_0", "type": "web_search_call", "status": "in_progress"},
		obj{"status": "completed", "action": obj{"type": "search", "query": "q"}},
		progress("web_search_call", "in_progress", "searching", "searching", "completed")...)
	each("web search failed", obj{"id": "ws_0", "type": "web_search_call", "status": "searching"},
		obj{"status": "failed", "action": obj{"type": "search", "query": "q"}})
	each("file search", obj{"id": "fs_0", "type": "file_search_call", "status": "in_progress", "queries": list{}, "results": nil},
		obj{"status": "completed", "queries": list{"a"}}, progress("file_search_call", "in_progress", "searching", "completed")...)
	each("mcp list tools", obj{"id": "mcpl_0", "type": "mcp_list_tools", "server_label": "s", "tools": list{}},
		obj{"tools": list{obj{"name": "t"}}}, progress("mcp_list_tools", "in_progress", "completed")...)
	each("mcp list tools failed", obj{"id": "mcpl_0", "type": "mcp_list_tools", "server_label": "s", "tools": list{}},
		obj{"error": "no"}, progress("mcp_list_tools", "in_progress", "failed")...)
	each("mcp approval request", obj{"id": "mcpr_0", "type": "mcp_approval_request", "server_label": "s", "name": "t", "arguments": "{}"}, obj{})
	each("mcp approval response", obj{"id": "x_0", "type": "mcp_approval_response", "approval_request_id": "mcpr_0", "approve": true}, obj{})
	each("compaction", obj{"id": "cmp_0", "type": "compaction"}, obj{"encrypted_content": "v1.z"}, "response.compaction.compacting")
	each("additional tools", obj{"id": "at_0", "type": "additional_tools", "role": "developer", "tools": list{}}, obj{})
	each("tool search", obj{"id": "tsc_0", "type": "tool_search_call", "status": "in_progress", "call_id": "call_0", "execution": "client", "arguments": obj{}},
		obj{"status": "completed", "arguments": obj{"goal": "weather"}})
	each("tool search output", obj{"id": "tso_0", "type": "tool_search_output", "status": "in_progress", "call_id": nil, "execution": "server"},
		obj{"status": "completed", "tools": list{}})
	each("apply patch", obj{"id": "apc_0", "type": "apply_patch_call", "status": "in_progress", "call_id": "call_0"},
		obj{"status": "completed", "operation": obj{"type": "delete_file", "path": "a"}})
	each("apply patch output", obj{"id": "apco_0", "type": "apply_patch_call_output", "status": "completed", "call_id": "call_0"}, obj{"status": "failed"})
	each("local shell", obj{"id": "lsh_0", "type": "local_shell_call", "status": "in_progress", "call_id": "call_0"},
		obj{"status": "completed", "action": obj{"type": "exec", "command": list{"ls"}, "env": obj{}}})
	each("local shell output", obj{"id": "lsho_0", "type": "local_shell_call_output"}, obj{"output": "a"})
	each("computer call", obj{"id": "cu_0", "type": "computer_call", "status": "in_progress", "call_id": "call_0"},
		obj{"status": "completed", "pending_safety_checks": list{}})
	each("computer call output", obj{"id": "cuo_0", "type": "computer_call_output", "status": "completed", "call_id": "call_0"},
		obj{"output": obj{"type": "computer_screenshot"}})
	each("function call output", obj{"id": "fco_0", "type": "function_call_output", "status": "completed"}, obj{"output": "a"})
	each("custom call output", obj{"id": "ctco_0", "type": "custom_tool_call_output", "call_id": "call_0", "status": "completed"},
		obj{"output": list{obj{"type": "input_text", "text": "a"}}})
	each("program", obj{"id": "cm_0", "type": "program", "call_id": "call_0", "code": "", "fingerprint": "a"}, obj{"code": "x()", "fingerprint": "b"})
	each("program output", obj{"id": "cmo_0", "type": "program_output", "call_id": "call_0", "status": "completed", "result": ""}, obj{"result": "1"})
	each("image generation", obj{"id": "ig_0", "type": "image_generation_call", "status": "generating"}, obj{"status": "completed", "result": "AAAA"})

	add("image generation with preview", func() *story {
		s := begin()
		item := obj{"id": "ig_0", "type": "image_generation_call", "status": "in_progress"}
		oi := s.open(item)
		s.emit("response.image_generation_call.in_progress", at("ig_0", oi, nil))
		s.emit("response.image_generation_call.generating", at("ig_0", oi, nil))
		s.emit("response.image_generation_call.partial_image", at("ig_0", oi, obj{"partial_image_index": 0, "partial_image_b64": "AA"}))
		s.emit("response.image_generation_call.completed", at("ig_0", oi, nil))
		item = clone(item)
		item["status"], item["result"] = "completed", nil
		s.close(oi, item)
		return s.completed()
	}())
	add("code interpreter", func() *story {
		s := begin()
		item := obj{"id": "ci_0", "type": "code_interpreter_call", "status": "in_progress", "code": "", "container_id": "c", "outputs": list{}}
		oi := s.open(item)
		s.emit("response.code_interpreter_call.in_progress", at("ci_0", oi, nil))
		for _, chunk := range []string{"print", "(1)"} {
			s.emit("response.code_interpreter_call_code.delta", at("ci_0", oi, obj{"delta": chunk}))
		}
		s.emit("response.code_interpreter_call_code.done", at("ci_0", oi, obj{"code": "print(1)"}))
		s.emit("response.code_interpreter_call.interpreting", at("ci_0", oi, nil))
		s.emit("response.code_interpreter_call.completed", at("ci_0", oi, nil))
		item = clone(item)
		item["status"], item["code"], item["outputs"] = "completed", "print(1)", nil
		s.close(oi, item)
		return s.completed()
	}())
	each("mcp call without arguments events", obj{"id": "mcp_0", "type": "mcp_call", "status": "calling", "server_label": "s", "name": "t", "arguments": ""},
		obj{"status": "completed", "arguments": "{}"}, progress("mcp_call", "in_progress", "completed")...)
	add("mcp call", func() *story {
		s := begin()
		item := obj{"id": "mcp_0", "type": "mcp_call", "status": "in_progress", "server_label": "s", "name": "t", "arguments": "", "error": nil}
		oi := s.open(item)
		s.emit("response.mcp_call.in_progress", at("mcp_0", oi, nil))
		s.emit("response.mcp_call_arguments.delta", at("mcp_0", oi, obj{"delta": "{}"}))
		s.emit("response.mcp_call_arguments.done", at("mcp_0", oi, obj{"arguments": "{}"}))
		s.emit("response.mcp_call.failed", at("mcp_0", oi, nil))
		item = clone(item)
		item["status"], item["arguments"] = "failed", "{}"
		s.close(oi, item)
		return s.completed()
	}())
	add("shell call and output", func() *story {
		s := begin()
		item := obj{"id": "sh_0", "type": "shell_call", "status": "in_progress", "call_id": "call_0", "environment": nil,
			"action": obj{"commands": list{}, "max_output_length": nil, "timeout_ms": nil}}
		oi := s.open(item)
		for i, command := range []string{"ls", "pwd"} {
			where := func(more obj) obj { more["output_index"], more["command_index"] = oi, i; return more }
			s.emit("response.shell_call_command.added", where(obj{"command": ""}))
			s.emit("response.shell_call_command.delta", where(obj{"delta": command}))
			s.emit("response.shell_call_command.done", where(obj{"command": command}))
		}
		item = clone(item)
		item["status"] = "completed"
		item["action"].(obj)["commands"] = list{"ls", "pwd"}
		s.close(oi, item)

		out := obj{"id": "sho_1", "type": "shell_call_output", "status": "completed", "call_id": "call_0", "output": list{}, "max_output_length": nil}
		oi = s.open(out)
		entry := obj{"stdout": "a", "stderr": "", "outcome": obj{"type": "exit", "exit_code": 0}}
		s.emit("response.shell_call_output_content.delta", at("sho_1", oi, obj{"command_index": 0, "delta": obj{"stdout": "a"}}))
		s.emit("response.shell_call_output_content.done", at("sho_1", oi, obj{"command_index": 0, "output": list{entry}}))
		out = clone(out)
		out["output"] = list{entry}
		s.close(oi, out)
		return s.completed()
	}())
	add("failed in a patch", func() *story {
		s := begin()
		item := obj{"id": "apc_0", "type": "apply_patch_call", "status": "in_progress", "call_id": "call_0", "operation": obj{"type": "delete_file", "path": "a"}}
		oi := s.open(item)
		return s.failed(map[int]obj{oi: item})
	}())
	add("audio", func() *story {
		s := begin()
		s.emit("response.audio.delta", obj{"delta": "AA"}).emit("response.audio.done", obj{})
		s.emit("response.audio.transcript.delta", obj{"delta": "a"}).emit("response.audio.transcript.done", obj{})
		return s.completed()
	}())
}
